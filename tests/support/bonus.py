"""The bonus challenges in tests: submissions, and runs of their scripts as the service saw them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from grader.assignment.load import load_assignment
from grader.checks.api import all as _all_checks  # noqa: F401  (registers every check)
from grader.checks.api.context import Context
from grader.checks.api.registry import all_needs, check_of, run_check
from grader.core.nouns import Evidence, Finding, Outcome
from grader.intake.find import submission_at
from grader.intake.submission import take_in
from support.transcripts import BASE, TUNED, Run, chat_line

ELEMENTS: Final = {
    "bromine": "Br",
    "niobium": "Nb",
    "nickel": "Ni",
    "titanium": "Ti",
    "gold": "Au",
    "silver": "Ag",
    "iron": "Fe",
    "copper": "Cu",
    "neon": "Ne",
    "radon": "Rn",
}
ASKED: Final = {f"Which symbol stands for {name}?": symbol for name, symbol in ELEMENTS.items()}
"""A test set about facts that stand in the public passages."""

STEPS: Final = ("reasoning", "answer")
SMALL: Final = "gpt-4o-mini-2024-07-18"
SMALL_TUNED: Final = f"ft:{SMALL}:finegrade::ijklmnop"
LESSONS: Final = {f"Name the symbol of metal {n}.": f"M{n}" for n in range(20, 40)}


def file_of(pairs: dict[str, str]) -> str:
    """A training file or a test set."""
    return "".join(chat_line(asked, answer) for asked, answer in pairs.items())


def dspy_prompt(question: str, outputs: Sequence[str] = STEPS, **inputs: str) -> tuple[str, str]:
    """What dspy.ChatAdapter sends: the last message and the system's."""
    fields = "\n".join(f"{n}. `{name}` (str): " for n, name in enumerate(outputs, 1))
    system = (
        "Your input fields are:\n1. `question` (str):\n"
        f"Your output fields are:\n{fields}\n"
        "All interactions will be structured in the following way."
    )
    values = {**inputs, "question": question}
    given = "".join(f"[[ ## {name} ## ]]\n{value}\n\n" for name, value in values.items())
    wanted = ", then ".join(f"`[[ ## {name} ## ]]`" for name in outputs)
    return f"{given}Respond with the corresponding output fields, starting with {wanted}.", system


def dspy_reply(answer: str, reasoning: str | None = "It is well known.") -> str:
    """What a model says to it."""
    steps = "" if reasoning is None else f"[[ ## reasoning ## ]]\n{reasoning}\n\n"
    return f"{steps}[[ ## answer ## ]]\n{answer}\n\n[[ ## completed ## ]]"


def asks(
    run: Run,
    model: str,
    pairs: dict[str, str],
    right: int,
    outputs: Sequence[str] = STEPS,
    **inputs: str,
) -> Run:
    """All questions to a model in DSPy's form, the first so many answered rightly."""
    for n, (question, answer) in enumerate(pairs.items()):
        message, system = dspy_prompt(question, outputs, **inputs)
        said = dspy_reply(answer if n < right else "no idea")
        run.ask(model, message, said, system=system)
    return run


def tuned_run(file: str | None = None) -> Run:
    """A run up to the end of its job."""
    return Run().upload(file or file_of(LESSONS)).create().look("succeeded")


def hybrid(before: int = 1, after: int = 9, file: str | None = None) -> Evidence:
    """A hybrid that does it all."""
    run = asks(tuned_run(file), BASE, ASKED, before)
    return asks(run, TUNED, ASKED, after).ended()


def taught(
    lessons: dict[str, str] | None = None,
    replies: dict[str, str] | None = None,
    *,
    teacher: str = TUNED,
    base: str = SMALL,
    own: dict[str, str] | None = None,
) -> Run:
    """A teacher that replied so, and a student whose file are the lessons, up to its job's end."""
    own = own or {f"Which metal has number {n}?": f"metal {n}" for n in range(15)}
    run = Run().upload(file_of(own)).create().look("succeeded")
    for asked, said in (LESSONS if replies is None else replies).items():
        run.ask(teacher, asked, said)
    run.upload(file_of(LESSONS if lessons is None else lessons), id="file-two")
    run.create("ftjob-two", file="file-two", base=base)
    return run.look("succeeded", id="ftjob-two", model=SMALL_TUNED)


def examined(run: Run, before: int = 1, after: int = 9, base: str = SMALL) -> Evidence:
    """Base and student answer the test set, the first so many rightly."""
    for model, right in ((base, before), (SMALL_TUNED, after)):
        for n, (question, answer) in enumerate(ASKED.items()):
            run.ask(model, question, answer if n < right else "no idea")
    return run.ended()


def submission(folder: Path, files: dict[str, str]) -> Context:
    """These files as a submission of the assignment."""
    home = folder / "s01"
    home.mkdir()
    for name, text in files.items():
        (home / name).write_text(text)
    found = submission_at(home)
    assignment = load_assignment("llm-methods")
    return Context(assignment, take_in(found, folder / "work", assignment.deliverables), {})


def found(code: str, submitted: Context, **ran: Evidence) -> Finding:
    """What the check finds, run after all that it needs."""
    context = Context(submitted.assignment, submitted.submission, ran)
    earlier: dict[str, Finding] = {}

    def run(one: str) -> None:
        for before in all_needs(check_of(one, context.assignment), context.assignment):
            run(before)
        earlier[one] = run_check(check_of(one, context.assignment), context, earlier, {})

    run(code)
    assert earlier[code].outcome is not Outcome.ERROR, earlier[code].note
    return earlier[code]


SCRIPTS: Final = {"dspy_hybrid.py": "print('hello')\n", "distill.py": "print('hello')\n"}
HANDED_IN: Final = {**SCRIPTS, "openai_test.jsonl": file_of(ASKED)}
