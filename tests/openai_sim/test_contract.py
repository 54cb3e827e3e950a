"""The description that the service gives of itself holds, whatever is sent to it."""
