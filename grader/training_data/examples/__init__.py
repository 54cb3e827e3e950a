"""Rules that compare the examples of one or two training files."""
