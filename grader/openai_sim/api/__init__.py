"""The HTTP endpoints of the simulator."""
