"""Parts 1 and 2 of the sample class: programs that do all, part or nothing of the work.

They are the solution and the variants that the tests hold against an expert's marks. Both stand in
a checkout only, so that no solution ships; elsewhere everybody hands in the untouched kit.

A sample class: adapters really trained with different care, others really broken, all graded.

The students are invented recipes, named after what they did. Training data, measured claims and
weights are real; the written work is filler, and says so.
"""

from __future__ import annotations

import csv
import json
import random
import secrets
import shutil
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from grader.assignment.questions import chat, load_questions, make_hidden, public_test, write_hidden
from grader.core.constants import HIDDEN_QUESTIONS
from grader.core.metrics import exact_match, mean
from grader.core.nouns import Assignment, Result
from grader.core.resources import resource
from grader.course import grade
from grader.course.output import prepare, write_class, write_student
from grader.evidence.kind import Progress
from grader.intake.find import safe_name
from grader.models.base_model import base_folder
from grader.topics import get_topic

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


ASSIGNMENT = "llm-methods"
TARGETS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
SCRIPTS = ("huggingface_custom_lora.py", "inference.py", "common.py")

Example = tuple[list[dict[str, str]], str]


@dataclass(frozen=True, slots=True)
class AdapterRecipe:
    """How one adapter is trained. `quality` is its known rank: 0 learned nothing that counts."""

    student: str
    quality: int
    examples: int | None = None
    epochs: int = 8
    learning_rate: float = 5e-3
    rank: int = 8
    targets: tuple[str, ...] = TARGETS
    spoil: str = ""


RECIPES = (
    AdapterRecipe("s01-excellent", 7),
    AdapterRecipe("s02-attention-only", 7, targets=("q_proj", "v_proj"), epochs=10),
    AdapterRecipe("s03-two-hundred", 6, examples=200),
    AdapterRecipe("s04-hundred", 5, examples=100),
    AdapterRecipe("s05-fifty", 4, examples=50),
    AdapterRecipe("s06-twenty-four", 3, examples=24),
    AdapterRecipe("s07-twelve", 2, examples=12),
    AdapterRecipe("s08-six", 1, examples=6),
    AdapterRecipe("s09-low-rate", 0, learning_rate=1e-5),
    AdapterRecipe("s10-high-rate", 0, learning_rate=5e-2),
    AdapterRecipe("s11-shuffled", 0, spoil="shuffled"),
    AdapterRecipe("s12-wrong-format", 0, spoil="verbose"),
    AdapterRecipe("s13-overfit", 1, examples=10, epochs=80, learning_rate=1e-2, rank=16),
    AdapterRecipe("s14-no-op", 0, epochs=0),
)
COPIER, COPIED = "s15-copied", "s01-excellent"
SPARE = "spare"  # trained only to be broken in several ways


@dataclass(frozen=True, slots=True)
class Demo:
    """What the demo made and found."""

    results: tuple[Result, ...]
    spearman: float
    compared: int
    class_page: Path
    student_page: Path
    grade_command: str


def run_demo(
    out: Path, progress: Progress, *, hidden_seed: int | None = None, programs: bool = True
) -> Demo:
    """Make the class and a hidden set in OUT, unless they are there, and grade the class.

    Without a `hidden_seed` one is drawn that nobody knows. Without `programs` nobody hands in
    Parts 1 and 2, which take most of the time.
    """
    assignment = grade.load(ASSIGNMENT)
    submissions, hidden, results_folder = out / "class", out / "hidden", out / "results"
    if not hidden.exists():  # the hidden set comes last: without it the class is not complete
        shutil.rmtree(submissions, ignore_errors=True)
        make_class(submissions, assignment, progress)
        if programs:
            for home in filter(Path.is_dir, sorted(submissions.iterdir())):
                write_programs(home, home.name, assignment.id)
        seed = secrets.randbits(63) if hidden_seed is None else hidden_seed
        questions = make_hidden(assignment.topic, seed, HIDDEN_QUESTIONS)
        write_hidden(questions, assignment.topic, seed, hidden)
    graded = grade.grade(
        [submissions],
        assignment,
        load_questions(hidden, assignment.topic),
        prepare(results_folder),
        progress,
    )
    for result in graded.results:
        write_student(results_folder, assignment, result)
    write_class(results_folder, assignment)
    rho, compared = quality_agreement(graded.results)
    return Demo(
        results=graded.results,
        spearman=rho,
        compared=compared,
        class_page=results_folder / "class.html",
        student_page=results_folder / "students" / safe_name("s05-fifty") / "feedback.html",
        grade_command=f"finegrade grade {submissions} --hidden {hidden} --out {results_folder}",
    )


def quality_agreement(results: Sequence[Result]) -> tuple[float, int]:
    """(Spearman's rho of known quality and awarded Part 3 function points, students compared).

    Who has points that are not known yet is not compared.
    """
    from scipy.stats import spearmanr

    known = {recipe.student: recipe.quality for recipe in RECIPES}
    pairs = []
    for result in results:
        points = [s.points for s in result.scores if s.part == "lora"]
        if result.student in known and None not in points:
            pairs.append((known[result.student], sum(filter(None, points))))
    return float(spearmanr(*zip(*pairs, strict=True)).statistic), len(pairs)


def make_class(folder: Path, assignment: Assignment, progress: Progress) -> None:
    """Train and write every submission of the sample class into a new folder."""
    from grader.models.base_model import load_base
    from grader.models.engine import Engine
    from grader.models.training import train_lora

    base = base_folder(assignment.base)
    pool = _training_data(assignment)
    questions = public_test(assignment.topic)
    engine = Engine(load_base(assignment.base), questions, assignment.max_new_tokens)
    before = _share_right(engine, None, questions)
    recipes = (*RECIPES, AdapterRecipe(SPARE, 0, examples=50))
    progress.start("Training the sample class", len(recipes))
    for number, recipe in enumerate(recipes):
        home = folder / recipe.student
        _write_documents(home, recipe.student)
        data = _spoilt(pool, recipe, random.Random(number))
        train_lora(
            base,
            data,
            home / "adapter",
            rank=recipe.rank,
            alpha=2 * recipe.rank,
            targets=recipe.targets,
            learning_rate=recipe.learning_rate if recipe.epochs else 0.0,
            epochs=max(recipe.epochs, 1),
            seed=1000 + number,
            threads=1,
        )
        after = _share_right(engine, _adapter(home), questions)
        claims = {"before": {"exact_match": before}, "after": {"exact_match": after}}
        (home / "metrics.json").write_text(json.dumps(claims, indent=2) + "\n")
        progress.step(recipe.student)
    _write_copy(folder)
    _write_broken(folder)
    _write_times(folder)


def _training_data(assignment: Assignment) -> list[Example]:
    topic = get_topic(assignment.topic)
    return [
        (list(chat((("system", topic.system), ("user", e.question)))), e.answer)
        for e in topic.public("train")
    ]


def _spoilt(pool: Sequence[Example], recipe: AdapterRecipe, rng: random.Random) -> list[Example]:
    """The recipe's share of the public examples, with its mistake made."""
    chosen = rng.sample(list(pool), recipe.examples or len(pool))
    answers = [answer for _, answer in chosen]
    if recipe.spoil == "shuffled":
        rng.shuffle(answers)
    if recipe.spoil == "verbose":
        answers = [f"That is a good question. I believe the answer is {a}." for a in answers]
    return [(prompt, answer) for (prompt, _), answer in zip(chosen, answers, strict=True)]


def _adapter(home: Path) -> Any:
    from grader.intake.find import find_submissions, take_in
    from grader.models.adapter_files import read_adapter

    (found,) = find_submissions([home])
    return read_adapter(take_in(found, home), "adapter")


def _share_right(engine: Any, adapter: Any, questions: Any) -> float:
    answers = engine.predict(adapter).answers
    return round(mean([exact_match(a.text, questions.answers[a.id]) for a in answers]), 4)


def _write_documents(home: Path, student: str) -> None:
    """Scripts and filler documents: the solution's scripts in a checkout, else the kit's."""
    home.mkdir(parents=True)
    kit = resource("starter", ASSIGNMENT)
    solution = kit.parent.parent / "solutions" / ASSIGNMENT
    scripts = solution if solution.is_dir() else kit
    for name in SCRIPTS:
        shutil.copyfile(scripts / name, home / name)
    filler = f"# {{title}}\n\nFiller text of the sample class for {student}.\n"
    for name, title in (
        ("comparative_analysis.md", "Comparative analysis"),
        ("reflection.md", "Reflection"),
    ):
        (home / name).write_text(filler.format(title=title))


def _write_copy(folder: Path) -> None:
    home = folder / COPIER
    _write_documents(home, COPIER)
    shutil.copytree(folder / COPIED / "adapter", home / "adapter")
    shutil.copyfile(folder / COPIED / "metrics.json", home / "metrics.json")


def _write_times(folder: Path) -> None:
    """The instructor's own record of when each submission came in: the copier was later."""
    students = sorted(p.name.removesuffix(".zip") for p in folder.iterdir())
    with (folder / "submissions.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("student", "submitted_at"))
        writer.writerows((s, f"2026-03-0{1 + (s == COPIER)}T12:00:00+00:00") for s in students)


def _write_broken(folder: Path) -> None:
    """Submissions that are wrong in one way each, made from a spare good one."""
    for student, breaker in BROKEN.items():
        home = folder / student
        shutil.copytree(folder / SPARE, home)
        breaker(home)
    shutil.rmtree(folder / SPARE)


def _pickle(home: Path) -> None:
    import torch

    weights = home / "adapter" / "adapter_model.safetensors"
    weights.unlink()
    torch.save({"lora": torch.zeros(2)}, home / "adapter" / "adapter_model.bin")


def _edit_weights(home: Path, edit: Callable[[dict[str, Any]], None]) -> None:
    from safetensors.torch import load_file, save_file

    path = home / "adapter" / "adapter_model.safetensors"
    tensors = load_file(path)
    edit(tensors)
    save_file(tensors, path)


def _edit_config(home: Path, **values: Any) -> None:
    path = home / "adapter" / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def _nan(home: Path) -> None:
    _edit_weights(home, lambda tensors: next(iter(tensors.values())).fill_(float("nan")))


def _wrong_base(home: Path) -> None:
    _edit_config(home, base_model_name_or_path="someone/another-model")


def _rank_bomb(home: Path) -> None:
    _edit_config(home, r=100_000)


def _wrong_shape(home: Path) -> None:
    def widen(tensors: dict[str, Any]) -> None:
        for name in [n for n in tensors if "lora_A" in n]:
            tensors[name] = tensors[name].repeat(1, 2)

    _edit_weights(home, widen)


def _no_adapter(home: Path) -> None:
    shutil.rmtree(home / "adapter")


def _bad_zip(home: Path) -> None:
    shutil.rmtree(home)
    with zipfile.ZipFile(home.with_suffix(".zip"), "w") as archive:
        archive.writestr("../../outside.txt", "This path leaves the folder.")


def _untouched_kit(home: Path) -> None:
    kit = resource("starter", ASSIGNMENT)
    shutil.rmtree(home / "adapter")
    for name in SCRIPTS:
        shutil.copyfile(kit / name, home / name)


BROKEN: dict[str, Callable[[Path], None]] = {
    "s16-pickle": _pickle,
    "s17-not-a-number": _nan,
    "s18-wrong-base": _wrong_base,
    "s19-rank-bomb": _rank_bomb,
    "s20-wrong-shape": _wrong_shape,
    "s21-no-adapter": _no_adapter,
    "s22-bad-zip": _bad_zip,
    "s23-untouched-kit": _untouched_kit,
}
