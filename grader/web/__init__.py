"""Pages for staff: reviewing a class in a browser."""
