"""What a run of a training or an inference script shows, read from its evidence."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, Final

from grader.core.constants import METRICS_MAX_BYTES, TRAINER_STATE_MAX_BYTES
from grader.core.metrics import normalise
from grader.core.payloads import METRICS_FILE, STATE_FILE, ScriptRun
from grader.core.strict_json import StrictJsonError, loads
from grader.core.text import clean

WEIGHTS: Final = (".safetensors", ".bin", ".pt", ".pth", ".ckpt", ".pkl", ".h5", ".npz")
_NO_WEIGHTS: Final = ("optimizer", "scheduler", "rng_state", "scaler", "training_args")
_LEAST_WEIGHTS_BYTES: Final = 1_000
_STOPPER: Final = "EarlyStoppingCallback"
_LINES_AN_ANSWER: Final = 4  # that a script may print: a question, an empty line, a time
_SEPARATORS: Final = (":", "->", "→", "=>", "=", "|", "\t")


def ended(run: ScriptRun) -> str | None:
    """How a run failed, in words; None where it came to its end."""
    if run.verdict == "ok":
        return None
    if run.verdict == "exit":
        return f"it ended with exit code {run.exit_code}"
    limit = {"timeout": "took more time", "memory": "took more memory", "disk": "wrote more"}
    if run.verdict in limit:
        return f"it {limit[run.verdict]} than it may"
    return f"it was ended by signal {run.signal}"


def last_words(run: ScriptRun) -> str:
    """The last line of the error output that says something, e.g. "ValueError: x"."""
    lines = [line for line in run.stderr.replace("\r", "\n").splitlines() if line.strip()]
    return clean(lines[-1], 300) if lines else ""


def reported(run: ScriptRun) -> dict[str, Any] | None:
    """The object that the run wrote into metrics.json; None where there is none."""
    names = sorted(path for path in run.files if PurePosixPath(path).name == METRICS_FILE)
    return _object(run.files[names[0]], METRICS_MAX_BYTES) if names else None


def _object(body: str, most: int) -> dict[str, Any] | None:
    try:
        value = loads(base64.b64decode(body), max_bytes=most)
    except StrictJsonError:
        return None
    return value if isinstance(value, dict) else None


def weights_made(run: ScriptRun, adapter: str) -> tuple[list[str], list[str]]:
    """Files of weights that the run made: those of checkpoints, then those of its adapter."""
    found = [
        path
        for path, size in run.made_bytes.items()
        if size >= _LEAST_WEIGHTS_BYTES
        and PurePosixPath(path).suffix.lower() in WEIGHTS
        and not PurePosixPath(path).name.lower().startswith(_NO_WEIGHTS)
    ]
    final = [path for path in found if PurePosixPath(path).parent.name == adapter]
    return [path for path in found if path not in final], final


@dataclass(frozen=True, slots=True)
class TrainerState:
    """What a trainer's last checkpoint says of its training.

    `losses` are the validation losses, or other scores, in their order.
    """

    steps: float
    most_steps: float
    stopped: bool
    watched: bool
    losses: Sequence[float]


def trainer_state(run: ScriptRun) -> TrainerState | None:
    """The latest state that the run left; None where no trainer wrote any that can be read."""
    states = [
        _object(body, TRAINER_STATE_MAX_BYTES)
        for path, body in run.files.items()
        if PurePosixPath(path).name == STATE_FILE
    ]
    read = [state for one in states if one is not None and (state := _state(one)) is not None]
    return max(read, key=lambda state: state.steps, default=None)


def _state(value: Mapping[str, Any]) -> TrainerState | None:
    steps, most = value.get("global_step"), value.get("max_steps")
    callbacks = value.get("stateful_callbacks")
    callbacks = callbacks if isinstance(callbacks, dict) else {}
    if not isinstance(steps, int | float) or not isinstance(most, int | float):
        return None
    log = value.get("log_history")
    entries = [entry for entry in log if isinstance(entry, dict)] if isinstance(log, list) else []
    losses = [e["eval_loss"] for e in entries if isinstance(e.get("eval_loss"), int | float)]
    control = callbacks.get("TrainerControl")
    flags = control.get("args") if isinstance(control, dict) else None
    stop = isinstance(flags, dict) and flags.get("should_training_stop") is True
    scored = any(name.startswith("eval_") for entry in entries for name in entry)
    return TrainerState(
        steps, most, stop and steps < most, _STOPPER in callbacks and scored, losses
    )


def answers_in(run: ScriptRun, expected: Sequence[str]) -> int:
    """How many of the expected answers the run printed, in their order and each on its own line.

    A line may say more before the answer, up to a colon or an arrow. Where there are many more
    lines than questions nothing counts, so that no list of all answers does.
    """
    lines = [line for line in run.stdout.splitlines() if line.strip()]
    if len(lines) > _LINES_AN_ANSWER * len(expected):
        return 0
    if len(lines) == len(expected):
        return sum(_says(line, one) for line, one in zip(lines, expected, strict=True))
    found, at = 0, 0
    for one in expected:
        place = next((n for n in range(at, len(lines)) if _says(lines[n], one)), None)
        if place is not None:
            found, at = found + 1, place + 1
    return found


def _says(line: str, expected: str) -> bool:
    return any(text.strip() == expected.strip() or _same(text, expected) for text in _ends(line))


def _same(text: str, expected: str) -> bool:
    return bool(normalise(expected)) and normalise(text) == normalise(expected)


def _ends(line: str) -> Iterator[str]:
    """The line, and what stands behind its last separator of each kind."""
    yield line
    for separator in _SEPARATORS:
        _, found, end = line.rpartition(separator)
        if found:
            yield end
