"""Waiting for descriptors, however many a grader has open: select.select stops at 1,024."""

from __future__ import annotations

import select


def readable(descriptors: list[int], seconds: float) -> list[int]:
    """Those of the descriptors that can be read, or whose other end is gone, within this time."""
    poll = select.poll()
    for descriptor in descriptors:
        poll.register(descriptor, select.POLLIN)
    return [descriptor for descriptor, _ in poll.poll(max(0.0, seconds) * 1000)]
