"""Training files: read, checked, counted, fixed. No printing, and no submission needed."""
