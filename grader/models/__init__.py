"""The base model, adapter files, the evaluation engine and training."""
