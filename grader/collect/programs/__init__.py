"""Programs of ours that run inside the sandbox, beside a submission's. They are never imported."""
