"""Written work, read once: passages, aspects, numbers and what they claim, copies."""
