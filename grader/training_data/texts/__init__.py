"""Rules on the texts of examples."""
