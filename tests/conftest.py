"""Stands here so that builders beside it can be imported from tests in every folder."""
