"""What the process of a job may use of the machine, whatever its files hold.

Parts of a batch keep a step small (`grader.models.micro_batches`). These limits are for the rest:
a file of millions of answers, an example that fits into no memory, a training without end.
"""

from __future__ import annotations

import re
import resource
import signal
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Final

from grader.core.constants import MIB
from grader.openai_sim.jobs.training_set import JobRefused

MEMORY_BYTES: Final = 3_072 * MIB  # beyond libraries and the base; a large step takes half of it
CPU_SECONDS: Final = 4 * 3_600  # a course's job takes a minute
_BASE_COPIES: Final = 4  # of its file: as it is read, in float32, and room for larger numbers
_END_SECONDS: Final = 60  # of processor time, to end the job


def limit_process(base: Path) -> None:
    """Limit this process, which trains the model in the folder `base`, from here to its end."""
    loaded = _loaded_bytes()
    if loaded is not None:
        weights = sum(file.stat().st_size for file in base.glob("*.safetensors"))
        _lower(resource.RLIMIT_DATA, loaded + MEMORY_BYTES + _BASE_COPIES * weights)
    used = resource.getrusage(resource.RUSAGE_SELF)
    seconds = int(used.ru_utime + used.ru_stime) + CPU_SECONDS
    signal.signal(signal.SIGXCPU, _out_of_time)
    _lower(resource.RLIMIT_CPU, seconds, seconds + _END_SECONDS)


@contextmanager
def within_limits() -> Iterator[None]:
    """Raises JobRefused where memory is missing for what is done here."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        # torch raises a RuntimeError: "DefaultCPUAllocator: can't allocate memory: ..."
        if not isinstance(error, MemoryError) and "allocate memory" not in str(error):
            raise
        traceback.clear_frames(error.__traceback__)  # they hold what was too large
        said = (
            f"The training needs more than {MEMORY_BYTES // MIB} MiB of memory. Create the job "
            "again with fewer or shorter examples."
        )
        raise JobRefused("memory_limit_exceeded", said, "training_file") from None


def _out_of_time(_signal: int, _frame: FrameType | None) -> None:
    said = (
        f"The training took {CPU_SECONDS} s of processor time and has not ended. Create the job "
        "again with fewer epochs or examples."
    )
    raise JobRefused("time_limit_exceeded", said, "hyperparameters")


def _lower(limit: int, soft: int, hard: int | None = None) -> None:
    """Lower a limit of this process; one that is lower stays."""
    _, most = resource.getrlimit(limit)
    highest = soft if hard is None else hard
    if most != resource.RLIM_INFINITY:
        highest = min(highest, most)
    resource.setrlimit(limit, (min(soft, highest), highest))


def _loaded_bytes() -> int | None:
    """The private memory of this process; None where the system does not tell."""
    try:
        found = re.search(r"^VmData:\s+(\d+) kB", Path("/proc/self/status").read_text(), re.M)
    except OSError:
        return None
    return int(found[1]) * 1024 if found else None
