"""Models: the base, adapter files, and greedy answers to question sets."""
