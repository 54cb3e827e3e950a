"""Cost of fine-tuning beside its alternatives: break-even and the claims of a cost analysis."""
