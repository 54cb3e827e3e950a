"""Examples of DSP0xx and DSP1xx: DSPy programs and metrics."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from grader.core.nouns import Evidence
from grader.evidence.metric_scores import MetricCase
from support.dspy_runs import (
    PAIRS,
    STEPS,
    enhanced,
    judged,
    original,
    passage,
    perturbed,
    reference,
    results,
    scores,
    stopped,
    word_matching,
)
from support.examples.writers import (
    Examples,
    Writer,
    with_files,
)


def _program(*, files: Mapping[str, str] | None = None, **runs: Evidence) -> Writer:
    """A submission of Part 1 whose program or metric did this."""

    def write(folder: Path) -> Mapping[str, Evidence]:
        with_files("dspy_enhanced.py", "dspy_report.md", adapter=False)(folder)
        for name, text in (files or {}).items():
            (folder / "s01" / name).write_text(text + "\n")
        beside = {"dspy_original": original(calls=0)} if "dspy_enhanced" in runs else {}
        return beside | runs

    return write


def _metric(**changed: float) -> Writer:
    """A submission whose metric judges as we do, but for these kinds of answers."""

    def metric(case: MetricCase) -> float:
        return changed.get(case.kind, judged(case))

    return _program(dspy_metric=scores(metric), dspy_metric_original=scores(word_matching))


def _forgets(n: int) -> str | None:
    """A program's answers, with none to every fourth question."""
    return reference(n) if n % 4 else None


_REPORTED = {"dspy_results.json": results()}

_ENHANCED = enhanced(context=passage, outputs=STEPS)

_BOTH = {"dspy_original": original(), "dspy_enhanced": _ENHANCED}

_QUIET = enhanced(calls=0)

_NO_MODULE = "ModuleNotFoundError: No module named 'google' (dspy_enhanced.py, line 1)"

_QUIET_BOTH = {"dspy_original": original(calls=0), "dspy_enhanced": _QUIET}


EXAMPLES: Examples = {
    "SRC014": (
        _program(dspy_enhanced=_QUIET),
        _program(dspy_enhanced=stopped(enhanced(text=None), _NO_MODULE)),
    ),
    "SRC016": (
        _program(dspy_enhanced=_QUIET, dspy_metric=scores(judged)),
        _program(dspy_enhanced=_QUIET, dspy_metric=stopped(scores(lambda _: None), _NO_MODULE)),
    ),
    "DSP001": (
        _program(dspy_enhanced=_QUIET),
        _program(dspy_enhanced=enhanced(text=_forgets, calls=0)),
    ),
    "DSP002": (
        _program(**_QUIET_BOTH),
        _program(dspy_original=original(calls=0), dspy_enhanced=enhanced(right=3, calls=0)),
    ),
    "DSP003": (
        _program(dspy_enhanced=_ENHANCED, dspy_perturbed=perturbed(10)),
        _program(dspy_enhanced=_ENHANCED, dspy_perturbed=perturbed(0)),
    ),
    "DSP004": (
        _program(**_BOTH),
        _program(dspy_original=original(), dspy_enhanced=enhanced()),
    ),
    "DSP005": (
        _program(**_BOTH),
        _program(dspy_original=original(), dspy_enhanced=enhanced(failures=1, calls=2)),
    ),
    "DSP006": (
        _program(dspy_enhanced=_QUIET),
        _program(dspy_enhanced=enhanced(calls=0, pairs=[*PAIRS[:4], PAIRS[0]])),
    ),
    "DSP007": (
        _program(dspy_enhanced=_QUIET),
        _program(dspy_enhanced=enhanced(calls=0, pairs=[*PAIRS[:4], ("Wolves.", "pup")])),
    ),
    "DSP008": (
        _program(files=_REPORTED, dspy_enhanced=_QUIET),
        _program(files={"dspy_results.json": results(extra=None)}, dspy_enhanced=_QUIET),
    ),
    "DSP009": (
        _program(files={"dspy_program.json": '{"read": {"demos": [], "lm": null}}'}),
        _program(files={"program.pkl": "a pickle, or said to be"}),
    ),
    "DSP010": (
        _program(files=_REPORTED, **_QUIET_BOTH),
        _program(files={"dspy_results.json": results(after=0.3)}, **_QUIET_BOTH),
    ),
    "DSP011": (
        _program(dspy_enhanced=enhanced(demos=[("What is the capital of Namibia?", "Windhoek")])),
        _program(dspy_enhanced=enhanced(demos=[("What is the capital of Namibia?", "Lisbon")])),
    ),
    "DSP020": (_metric(), _metric(exact=1.5)),
    "DSP021": (_metric(), _program(dspy_metric=scores(judged, again=0.01))),
    "DSP022": (_metric(), _metric(stuffed=1.0)),
    "DSP023": (_metric(), _metric(stuffed=0.97)),
    "DSP024": (_metric(), _metric(refusal=0.5)),
    "DSP025": (_metric(), _metric(case=0.8, punctuation=0.8)),
    "DSP026": (_metric(), _metric(duplicate=1.0)),
    "DSP027": (
        _metric(),
        _program(dspy_metric=scores(word_matching), dspy_metric_original=scores(word_matching)),
    ),
}
