"""Long work on a training file that somebody may watch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Final, Protocol

from grader.training_data.examples import Example

_EXAMPLES_A_STEP: Final = 500  # drawing a bar for each example takes longer than reading


class Progress(Protocol):
    """Draws how far long work is."""

    def start(self, stage: str, total: int) -> None:
        """Begin a stage of `total` units: bytes of the file, or examples."""

    def advance(self, units: int) -> None:
        """Note that so many more are done."""


def watched(
    examples: Iterable[Example],
    progress: Progress | None,
    stage: str,
    total: int,
    units: Callable[[Example], int] = lambda example: 1,
) -> Iterator[Example]:
    """The same examples; `progress` hears how many of the stage's `total` units have passed."""
    if progress is None:
        yield from examples
        return
    progress.start(stage, total)
    done = passed = 0
    for number, example in enumerate(examples, 1):
        yield example
        passed += units(example)
        if number % _EXAMPLES_A_STEP == 0:
            progress.advance(passed - done)
            done = passed
    progress.advance(total - done)


def differences(advance: Callable[[int], None]) -> Callable[[int], None]:
    """Takes how many are done in all, and passes on how many that is since the last call."""
    done = 0

    def step(place: int) -> None:
        nonlocal done
        advance(place - done)
        done = place

    return step
