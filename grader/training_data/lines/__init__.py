"""Rules that judge one line of a training file."""
