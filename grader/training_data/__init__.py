"""Training files: read, judged, counted, mended. No printing, and no submission needed."""
