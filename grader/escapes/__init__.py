"""Hostile programs that try every sandbox, and the judge of what they did."""
