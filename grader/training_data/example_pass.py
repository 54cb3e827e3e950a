"""The second pass over a training file: its examples beside each other, and what they say."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

from grader.training_data.examples import read_examples
from grader.training_data.faults import Fault
from grader.training_data.passes import DataSet

_EXAMPLES_A_STEP: Final = 1_000  # between two reports of progress


def check_examples(
    path: Path, report: Callable[[Fault], None], advance: Callable[[int], None]
) -> tuple[str, ...]:
    """Report every fault of the data set as a whole; returns what was not looked at, in words.

    `advance` is called with the number of bytes done since the last call.
    """
    data_set = DataSet()
    done = 0
    for number, example in enumerate(read_examples(path), 1):
        for fault in data_set.add(example):
            report(fault)
        done += len(example.raw) + 1
        if number % _EXAMPLES_A_STEP == 0:
            advance(done)
            done = 0
    advance(done)
    for fault in data_set.faults():
        report(fault)
    if data_set.left_out:
        return (f"Near copies were searched among the first {data_set.searched:,} examples.",)
    return ()
