"""Programs that the grader runs inside a sandbox."""
