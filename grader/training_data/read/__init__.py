"""Read training files: lines, formats, examples and their fingerprints."""
