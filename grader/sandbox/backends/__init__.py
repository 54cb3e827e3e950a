"""The three ways to isolate a program."""
