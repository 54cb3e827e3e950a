"""Commands that write a new training file: fix, split, dedupe and convert."""
