"""One file a format in which results leave."""
