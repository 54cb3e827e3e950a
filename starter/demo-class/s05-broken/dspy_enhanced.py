"""Part 1: imports a module that was left at home."""

from my_helpers import build_program, metric  # noqa: F401
