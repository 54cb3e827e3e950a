"""Find submissions in folders and archives, and read their files without trusting them."""
