"""Evidence: what is dear and collected once, one file a kind."""
