"""What a student's program says in dspy_results.json that it found out: a claim, no evidence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from grader.constants import MIB
from grader.errors import FileRefused
from grader.intake import read_file
from grader.model import Submission
from grader.strict_json import StrictJsonError, loads

RESULTS: Final = "dspy_results.json"
_ORIGINAL, _ENHANCED = "original", "enhanced"


class ResultsError(Exception):
    """There are no such results, or they cannot be read; the text says why."""


@dataclass(frozen=True, slots=True)
class Results:
    """Exact match of the original and the enhanced program, 0 to 1, on `questions` questions.

    `extra` is that of the enhanced program on the added pairs, None where it is not said.
    """

    path: str
    questions: int
    before: float
    after: float
    extra: float | None


def found_once(submission: Submission, name: str) -> str | None:
    """Where the file of this name lies; None where there is none. ResultsError for two."""
    places = [file.path for file in submission.files if file.path.rsplit("/", 1)[-1] == name]
    if len(places) > 1:
        raise ResultsError(f"There are {len(places)} files {name}; keep one.")
    return places[0] if places else None


def results_of(submission: Submission) -> Results:
    """What was handed in: {"test_questions", "programs": {name: {"test": {"exact_match"}}}}.

    The original's name is "original"; the enhanced program is the last one whose name begins with
    "enhanced". Raises ResultsError.
    """
    path = found_once(submission, RESULTS)
    if path is None:
        raise ResultsError(f"There is no {RESULTS}.")
    try:
        value = loads(read_file(submission, path, MIB), max_bytes=MIB)
    except (StrictJsonError, FileRefused) as error:
        raise ResultsError(f"{RESULTS} cannot be read: {error}.") from error
    programs = value.get("programs") if isinstance(value, dict) else None
    questions = value.get("test_questions") if isinstance(value, dict) else None
    if not isinstance(programs, dict):
        raise ResultsError(f'{RESULTS} has no "programs".')
    if isinstance(questions, bool) or not isinstance(questions, int) or questions < 1:
        raise ResultsError(f'{RESULTS} does not say in "test_questions" how many were asked.')
    enhanced = [name for name in programs if name.startswith(_ENHANCED)]
    if _ORIGINAL not in programs or not enhanced:
        raise ResultsError(f'{RESULTS} has not both "original" and "enhanced" in "programs".')
    before = _share(programs[_ORIGINAL], "test")
    after = _share(programs[enhanced[-1]], "test")
    if before is None or after is None:
        raise ResultsError(f'{RESULTS} lacks a "test" with an "exact_match" from 0 to 1.')
    return Results(path, questions, before, after, _share(programs[enhanced[-1]], "extra"))


def _share(program: Any, on: str) -> float | None:
    scores = program.get(on) if isinstance(program, dict) else None
    share = scores.get("exact_match") if isinstance(scores, dict) else None
    if isinstance(share, bool) or not isinstance(share, int | float) or not 0 <= share <= 1:
        return None
    return float(share)
