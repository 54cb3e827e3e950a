"""A queue in which owners take turns: one that sends a thousand does not keep another waiting."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence

from grader.openai_sim.decoding.sequences import LiveCompletion


class FairQueue:
    """Completions that wait; those of one owner come in their order."""

    def __init__(self) -> None:
        self._queues: dict[int, deque[LiveCompletion]] = {}  # the owner whose turn it is first

    def __len__(self) -> int:
        return sum(map(len, self._queues.values()))

    def __iter__(self) -> Iterator[LiveCompletion]:
        for queue in self._queues.values():
            yield from queue

    def of(self, owner: int) -> int:
        """The number that wait for this owner."""
        return len(self._queues.get(owner, ()))

    def add(self, owner: int, completions: Sequence[LiveCompletion]) -> None:
        """Append these, which are all of one owner."""
        if completions:
            self._queues.setdefault(owner, deque()).extend(completions)

    def pop(self) -> LiveCompletion:
        """The next one. Raises StopIteration where none waits."""
        owner, queue = next(iter(self._queues.items()))
        first = queue.popleft()
        del self._queues[owner]
        if queue:
            self._queues[owner] = queue
        return first
