"""Nouns, errors and limits, and the text, file and number helpers that every room stands on."""
