"""Stands here so that the builders beside it can be imported."""
