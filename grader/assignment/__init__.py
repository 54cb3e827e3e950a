"""Assignments: YAML, rubric, starter kit, questions and benchmark."""
