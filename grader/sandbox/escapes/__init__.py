"""Hostile programs, and the judgement from outside whether a sandbox holds them."""
