"""Dear work: what is wanted, collected once, stored by content."""
