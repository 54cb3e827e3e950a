"""The pages of the simulator for a browser."""
