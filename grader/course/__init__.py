"""Grade a class: the one order of things, and the files that it leaves in OUT."""
