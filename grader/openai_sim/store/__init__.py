"""What the simulator keeps: files, jobs, models, the journal, errors and scenarios."""
