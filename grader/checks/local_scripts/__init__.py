"""Checks of Part 3's programs, as runs of them show."""
