"""Sample classes: adapters really trained with different care, others really broken.

The students are invented recipes, named after what they did. Training data, claims and weights are
real. Their programs come from `starter/demo-class`: they were written for the demo, and none of
them is a solution, so the demo of a wheel is the demo of a checkout. So are the documents of the
small class and what a grader decided about them; other documents are filler.
"""

from __future__ import annotations

import csv
import json
import random
import shutil
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from grader.assignment.questions import chat, public_test
from grader.core.constants import HIDDEN_QUESTIONS
from grader.core.files import resource
from grader.core.metrics import exact_match, mean
from grader.core.nouns import Assignment
from grader.models.base_model import base_folder
from grader.topics import get_topic

if TYPE_CHECKING:
    from grader.evidence.kind import Progress

ASSIGNMENT: Final = "llm-methods"
SCRIPTS: Final = ("huggingface_custom_lora.py", "inference.py", "common.py")
TARGETS: Final = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
PROGRAMS: Final = "demo-class"  # below starter/
_KIT: Final = "kit"
_DOMAIN: Final = "currency"  # of the questions that Part 2 trains on
_DOMAIN_TRAIN, _DOMAIN_TEST = 15, 10  # questions

Example = tuple[list[dict[str, str]], str]
Breaker = Callable[[Path], None]


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


@dataclass(frozen=True, slots=True)
class SampleClass:
    """A class to make: its trainings, and submissions that are made of others.

    `broken` copies a submission and breaks the copy. `copies` maps a student to whom the whole
    submission is from. `programs` names by student the folder of Parts 1 and 2; who is not there
    submits Part 3 alone. `spare` is trained only to be broken. `questions` are the hidden ones.
    `reviews` names the table of what a grader decided, "" where nobody did.
    """

    recipes: tuple[AdapterRecipe, ...]
    broken: Mapping[str, Breaker]
    copies: Mapping[str, str]
    programs: Mapping[str, str]
    shown: str
    spare: AdapterRecipe | None = None
    source: str = ""
    questions: int = HIDDEN_QUESTIONS
    notebooks: frozenset[str] = frozenset()
    reviews: str = ""

    @property
    def students(self) -> set[str]:
        """Everybody in the class."""
        return {recipe.student for recipe in self.recipes} | {*self.broken, *self.copies}


def make_class(
    folder: Path, assignment: Assignment, made: SampleClass, progress: Progress, *, programs: bool
) -> None:
    """Train and write every submission of the sample class into a new folder."""
    recipes = (*made.recipes, *([made.spare] if made.spare else []))
    progress.start("Training the sample class", len(recipes))
    from grader.models.base_model import load_base  # torch: seconds, while the line stands there
    from grader.models.engine import Engine
    from grader.models.training import train_lora

    base = base_folder(assignment.base)
    pool = _training_data(assignment)
    questions = public_test(assignment.topic)
    engine = Engine(load_base(assignment.base), questions, assignment.max_new_tokens)
    before = _share_right(engine, None, questions)
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
    for student, breaker in made.broken.items():
        shutil.copytree(folder / made.source, folder / student)
        breaker(folder / student)
        if (folder / student).is_dir():
            _write_own(folder / student, student)
    if made.spare:
        shutil.rmtree(folder / made.spare.student)
    if programs:
        for student, name in made.programs.items():
            write_programs(folder / student, name, assignment.topic)
    for student in made.notebooks:
        _as_notebooks(folder / student)
    for student, copied in made.copies.items():
        shutil.copytree(folder / copied, folder / student)
    _write_times(folder, late=made.copies)


def write_programs(home: Path, name: str, topic: str) -> None:
    """Write Parts 1 and 2 of the student `name` of the demo's programs, or the untouched kit's."""
    kit = resource("starter", ASSIGNMENT)
    files = kit if name == _KIT else resource("starter", PROGRAMS, name)
    for script in ("dspy_enhanced.py", "openai_domain_finetune.py"):
        shutil.copyfile(files / script, home / script)
    for document in ("dspy_report.md", "cost_analysis.md"):
        if name == _KIT:
            shutil.copyfile(kit / document, home / document)
        else:
            (home / document).write_text(f"# {document}\n\nFiller text of the sample class.\n")
        _write_own(home, name, document)
    if name != _KIT:
        _write_domain(home, topic)
    for numbers in files.glob("cost_analysis.json"):
        shutil.copyfile(numbers, home / numbers.name)


def _write_domain(home: Path, topic_name: str) -> None:
    """The training file and the test set of Part 2: public questions, a country each."""
    topic = get_topic(topic_name)
    about = {e.subject: e for e in topic.public("train") if e.kind == _DOMAIN}
    lines = []
    for example in about.values():
        turns = (
            ("system", topic.system),
            ("user", example.question),
            ("assistant", example.answer),
        )
        lines.append(json.dumps({"messages": list(chat(turns))}, ensure_ascii=False) + "\n")
    test = lines[_DOMAIN_TRAIN : _DOMAIN_TRAIN + _DOMAIN_TEST]
    (home / "openai_train.jsonl").write_text("".join(lines[:_DOMAIN_TRAIN]), encoding="utf-8")
    (home / "openai_test.jsonl").write_text("".join(test), encoding="utf-8")


def _as_notebooks(home: Path) -> None:
    """Replace the scripts that a notebook may stand for by notebooks of one cell each."""
    for script in home.glob("*.py"):
        if script.name != "common.py":
            cell: dict[str, Any] = {"cell_type": "code", "id": "all", "execution_count": None}
            cell |= {"metadata": {}, "outputs": [], "source": script.read_text(encoding="utf-8")}
            book = {"cells": [cell], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
            script.with_suffix(".ipynb").write_text(json.dumps(book, indent=1) + "\n")
            script.unlink()


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
    from grader.intake.find import submission_at
    from grader.intake.submission import take_in
    from grader.models.adapter_files import read_adapter

    found = submission_at(home)
    return read_adapter(take_in(found, home), "adapter")


def _share_right(engine: Any, adapter: Any, questions: Any) -> float:
    answers = engine.predict(adapter).answers
    return round(mean([exact_match(a.text, questions.answers[a.id]) for a in answers]), 4)


def _write_documents(home: Path, student: str) -> None:
    """The scripts of Part 3 and the documents that are everybody's."""
    home.mkdir(parents=True)
    for name in SCRIPTS:
        folder = ASSIGNMENT if name == "common.py" else f"{PROGRAMS}/everyone"
        shutil.copyfile(resource("starter", folder, name), home / name)
    for name in ("Comparative analysis", "Reflection"):
        text = f"# {name}\n\nFiller text of the sample class for {student}.\n"
        (home / f"{name.lower().replace(' ', '_')}.md").write_text(text)
    _write_own(home, student)


def _write_own(home: Path, name: str, pattern: str = "*.md") -> None:
    """The documents that the student of this name wrote, where there are any."""
    for document in sorted(resource("starter", PROGRAMS).glob(f"{name}/{pattern}")):
        shutil.copyfile(document, home / document.name)


def _write_times(folder: Path, late: Mapping[str, str]) -> None:
    """The instructor's own record of when each submission came in: copiers were later."""
    students = sorted(p.name.removesuffix(".zip") for p in folder.iterdir())
    with (folder / "submissions.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("student", "submitted_at"))
        writer.writerows((s, f"2026-03-0{1 + (s in late)}T12:00:00+00:00") for s in students)


def _truncated(home: Path) -> None:
    weights = home / "adapter" / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:10_000])


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


SMALL: Final = SampleClass(
    recipes=(
        AdapterRecipe("s01-excellent", 3, epochs=2),
        AdapterRecipe("s02-weak", 1, examples=40, epochs=4),
        AdapterRecipe("s03-no-op", 0, examples=16, epochs=0),
        AdapterRecipe("s04-shuffled", 0, epochs=1, spoil="shuffled"),
        AdapterRecipe("s07-notebook", 2, examples=60, epochs=4),
        AdapterRecipe("s08-partly-done", 2, examples=200, epochs=4, targets=("q_proj", "v_proj")),
    ),
    broken={"s05-broken": _truncated},
    source="s01-excellent",
    copies={"s06-copied": "s01-excellent"},
    programs={
        "s01-excellent": "s01-excellent",
        "s02-weak": "s02-weak",
        "s03-no-op": "s03-no-op",
        "s04-shuffled": "s04-shuffled",
        "s05-broken": "s05-broken",
        "s07-notebook": "s07-notebook",
        "s08-partly-done": _KIT,
    },
    notebooks=frozenset({"s07-notebook"}),
    reviews="reviews.csv",
    shown="s02-weak",
    questions=40,
)
"""Eight students who tell the whole story in two minutes."""

FULL: Final = SampleClass(
    recipes=(
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
    ),
    spare=AdapterRecipe("spare", 0, examples=50),
    source="spare",
    copies={"s15-copied": "s01-excellent"},
    broken={
        "s16-pickle": _pickle,
        "s17-not-a-number": _nan,
        "s18-wrong-base": _wrong_base,
        "s19-rank-bomb": _rank_bomb,
        "s20-wrong-shape": _wrong_shape,
        "s21-no-adapter": _no_adapter,
        "s22-bad-zip": _bad_zip,
        "s23-untouched-kit": _untouched_kit,
    },
    programs={
        "s01-excellent": "s01-excellent",
        "s02-attention-only": "s01-excellent",
        "s03-two-hundred": "s07-notebook",
        "s04-hundred": "s07-notebook",
        "s05-fifty": "s07-notebook",
        "s06-twenty-four": "s02-weak",
        "s07-twelve": "s02-weak",
        "s08-six": "s02-weak",
        "s09-low-rate": "s02-weak",
        "s10-high-rate": "s03-no-op",
        "s11-shuffled": "s04-shuffled",
        "s12-wrong-format": "s04-shuffled",
        "s13-overfit": "s01-excellent",
        "s14-no-op": "s03-no-op",
        "s16-pickle": "s05-broken",
        "s23-untouched-kit": _KIT,
    },
    shown="s05-fifty",
)
"""Twenty-three students: trainings of known rank, and every way to break an adapter."""
