"""Tokens out of the base and its adapters."""
