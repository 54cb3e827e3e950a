"""Adapters of fine-tuned models, read once and kept for the next request."""

from __future__ import annotations

import threading
from collections import OrderedDict
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from grader.model import Submission, SubmittedFile

if TYPE_CHECKING:
    from grader.predict.adapter_files import AdapterFiles

ADAPTERS_KEPT: Final = 32  # in memory; one of rank 8 for the course model takes 0.4 MB


class AdapterCache:
    """Those that were asked for last. Safe to use from many threads."""

    def __init__(self) -> None:
        self._held: OrderedDict[Path, tuple[int, AdapterFiles]] = OrderedDict()
        self._lock = threading.Lock()

    def read(self, folder: Path) -> AdapterFiles:
        """The adapter in this folder as it is now; FileRefused for a broken one."""
        from grader.predict.adapter_files import WEIGHTS_FILE, read_adapter

        written = (folder / WEIGHTS_FILE).stat().st_mtime_ns
        with self._lock:
            held = self._held.get(folder)
            if held is not None and held[0] == written:
                self._held.move_to_end(folder)
                return held[1]
        adapter = read_adapter(as_submission(folder), folder.name)
        with self._lock:
            self._held[folder] = (written, adapter)
            if len(self._held) > ADAPTERS_KEPT:
                self._held.popitem(last=False)
        return adapter


def as_submission(folder: Path) -> Submission:
    """The adapter folder in the form that the adapter's reader takes."""
    files = []
    for path in sorted(folder.iterdir()):
        with suppress(OSError):
            files.append(SubmittedFile(f"{folder.name}/{path.name}", path.stat().st_size, ""))
    return Submission("adapter", folder.parent, "", tuple(files))
