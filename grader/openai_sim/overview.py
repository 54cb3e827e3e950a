"""What the overview shows of jobs and files."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from grader.openai_sim.loss_curve import LossCurve, loss_curve
from grader.openai_sim.store import DONE, FileRow, JobRow, Store, now

if TYPE_CHECKING:
    from grader.openai_sim.store import CheckpointRow

_SHOWN: Final = 50  # jobs, and files
_CURVES: Final = 10  # jobs with a loss curve
_WAITING: Final = {
    "validating_files": "The service is checking its files.",
    "queued": "It waits for its turn: one job is trained at a time.",
    "paused": "It is paused; resume it with client.fine_tuning.jobs.resume(id).",
    "pausing": "It stops after the step under way.",
}


@dataclass(frozen=True, slots=True)
class JobView:
    """A job as it is shown. `step` of `steps` is 0 of 0 before the first one is told."""

    row: JobRow
    step: int = 0
    steps: int = 0
    curve: LossCurve | None = None
    checkpoints: tuple[CheckpointRow, ...] = ()

    @property
    def under_way(self) -> bool:
        """Whether it changes by itself."""
        return self.row.status not in DONE and self.row.status != "paused"

    @property
    def waiting(self) -> str:
        """Why nothing happens, "" when something does."""
        return _WAITING.get(self.row.status, "")

    @property
    def seconds_left(self) -> int | None:
        """Until it is done, as the service estimates it; None where that is not known."""
        finish = self.row.estimated_finish
        if self.row.status != "running" or finish is None:
            return None
        return max(0, finish - now())


@dataclass(frozen=True, slots=True)
class FileView:
    """A file as it is shown; `examples` is None for one that is no training file."""

    row: FileRow
    examples: int | None = None
    errors: int = 0
    warnings: int = 0


def jobs(store: Store) -> list[JobView]:
    """The newest jobs, before all the one that is trained; the first of them with their losses."""
    rows = store.list_jobs(limit=_SHOWN)
    rows.sort(key=lambda row: row.status not in ("running", "pausing"))
    return [_job(store, row, at < _CURVES) for at, row in enumerate(rows)]


def counts(shown: Sequence[JobView]) -> dict[str, int]:
    """How many jobs there are of each status, in the words of the page."""
    return dict(Counter(job.row.status.replace("_", " ") for job in shown))


def files(store: Store) -> list[FileView]:
    """The newest files."""
    return [file_view(row) for row in store.list_files(limit=_SHOWN)]


def file_view(row: FileRow) -> FileView:
    """The file with what was found in it, counted."""
    report = findings(row)
    if report is None:
        return FileView(row)
    number: Counter[str] = Counter()
    for code, severity in {f["code"]: f["severity"] for f in failed(report)}.items():
        number[severity] += report["counts"][code]
    return FileView(row, report["examples"], number["error"], number["warning"])


def findings(row: FileRow) -> Mapping[str, Any] | None:
    """What the data rules found in a file, None for one that they do not read."""
    if not row.findings:
        return None
    [report] = json.loads(row.findings)["files"]
    found: Mapping[str, Any] = report
    return found


def failed(report: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The findings that are faults."""
    return [finding for finding in report["findings"] if finding["outcome"] == "fail"]


def _job(store: Store, row: JobRow, drawn: bool) -> JobView:
    if not drawn:
        return JobView(row)
    events = store.list_events(row.id)
    checkpoints = store.list_checkpoints(row.id)
    last = next((e.data for e in events if e.type == "metrics" and e.data), {})
    return JobView(
        row,
        int(last.get("step", 0)),
        int(last.get("total_steps", 0)),
        loss_curve(events, checkpoints),
        tuple(checkpoints),
    )
