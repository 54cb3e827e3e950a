"""Every module that registers checks; importing this fills the registry."""

from grader.checks import (
    adapter,
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
    "evaluation",
    "grader_faults",
    "inference",
    "integrity",
    "layout",
    "measuring",
    "source",
    "training",
]
