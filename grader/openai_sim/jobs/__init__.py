"""Fine-tuning jobs: validation, training and checkpoints."""
