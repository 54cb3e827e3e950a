"""Parts 1 and 2 of the sample class: programs that do all, part or nothing of the work.

They are the solution and the variants that the tests hold against an expert's marks. Both stand in
a checkout only, so that no solution ships; elsewhere everybody hands in the untouched kit.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from grader.resources import resource

_SOLUTION: Final = "solution"
_STARTER: Final = "starter"

PROGRAMS: Final[Mapping[str, tuple[str, str]]] = {
    "s01-excellent": (_SOLUTION, _SOLUTION),
    "s02-attention-only": (_SOLUTION, "good"),
    "s03-two-hundred": ("f1_metric", "fixed_minute"),
    "s04-hundred": ("steps_only", "creates_again"),
    "s05-fifty": ("few_shot_only", "naive"),
    "s06-twenty-four": ("raises_on_some", "busy"),
    "s07-twelve": ("poor_pairs", "two_jobs"),
    "s08-six": ("public_table", "never_evaluates"),
    "s09-low-rate": ("constant_metric", "hard_coded_model"),
    "s10-high-rate": ("length_metric", "swallows"),
    "s11-shuffled": ("constants", "wrong_purpose"),
    "s12-wrong-format": ("unchanged", "prints_success"),
    "s13-overfit": ("leaked_answers", "crashes"),
    "s14-no-op": ("no_module", _STARTER),
    "s15-copied": (_SOLUTION, _SOLUTION),
    "s16-pickle": ("hard_to_read", "naive"),
    "s23-untouched-kit": (_STARTER, _STARTER),
}
"""By student: the DSPy program and the OpenAI workflow. Who is not here hands in Part 3 alone."""

_DSPY: Final = ("dspy_report.md", "dspy_results.json", "dspy_program.json")
_OPENAI: Final = (
    "openai_train.jsonl",
    "openai_test.jsonl",
    "cost_analysis.json",
    "cost_analysis.md",
)


def write_programs(home: Path, student: str, assignment: str) -> None:
    """Write the student's Parts 1 and 2 into the folder, where there are any."""
    if student not in PROGRAMS:
        return
    dspy, openai = PROGRAMS[student]
    kit = resource("starter", assignment)
    solution = kit.parent.parent / "solutions" / assignment
    variants = kit.parent.parent / "tests" / "variants"
    if not (solution.is_dir() and variants.is_dir()):
        dspy, openai, solution = _STARTER, _STARTER, kit
    places = {_SOLUTION: solution, _STARTER: kit}
    script = "dspy_enhanced.py"
    source = places[dspy] / script if dspy in places else variants / "dspy" / f"{dspy}.py"
    shutil.copyfile(source, home / script)
    if dspy not in places:  # variants spoil what this does
        shutil.copyfile(solution / script, home / "good.py")
    script = "openai_domain_finetune.py"
    source = places[openai] / script if openai in places else variants / "openai" / f"{openai}.py"
    shutil.copyfile(source, home / script)
    for program, names in ((dspy, _DSPY), (openai, _OPENAI)):
        own = kit if program == _STARTER else solution
        for name in names:
            if (own / name).is_file():
                shutil.copyfile(own / name, home / name)
