"""Runs programs that nobody trusts, and says what they did."""
