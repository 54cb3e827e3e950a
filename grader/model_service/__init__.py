"""The model service that one sandboxed run sees."""
