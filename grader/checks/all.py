"""Every module that registers checks; importing this fills the registry."""

from grader.checks import (
    adapter,
    dataset,
    evaluation,
    grader_faults,
    inference,
    integrity,
    layout,
    measuring,
    source,
    training,
)

__all__ = [
    "adapter",
    "dataset",
    "evaluation",
    "grader_faults",
    "inference",
    "integrity",
    "layout",
    "measuring",
    "source",
    "training",
]
