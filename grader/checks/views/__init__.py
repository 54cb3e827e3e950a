"""A submission as checks see it: scripts, transcripts, results and documents, read once."""
