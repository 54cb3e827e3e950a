"""Writes REFERENCE.md from what the program says of itself: commands, checks, rules, scenarios.

Run from the repository root: python scripts/make_reference.py
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import Enum
from pathlib import Path
from typing import Any, Final

from typer.main import get_command

from grader.checks.api import all as _all_checks  # noqa: F401  (registers every check)
from grader.checks.api.registry import Check, all_checks
from grader.cli.main import EXIT_CODES, app
from grader.openai_sim.store.scenarios import SCENARIOS
from grader.training_data.rules import RULES

ROOT: Final = Path(__file__).parents[1]
REFERENCE: Final = ROOT / "REFERENCE.md"

FAMILIES: Final[Mapping[str, str]] = {
    "LAY": "deliverables, layout and archives",
    "ADP": "adapter files",
    "EVL": "evaluation before and after fine-tuning",
    "DSP": "DSPy program and metric",
    "API": "OpenAI workflow",
    "TOK": "numbers of the cost analysis",
    "SRC": "source code and notebooks",
    "DOC": "written work",
    "INT": "integrity",
    "GRD": "errors of the grader",
}

CLIENT_SEES: Final[Mapping[str, tuple[str, str]]] = {
    "ok": ("normal responses", "1"),
    "sunset": ("`PermissionDeniedError` (403, `training_not_available`); chat goes on", "1"),
    "rate-limited": (
        "one second of delay; with `max_retries=0` a `RateLimitError`",
        "2 where it hits",
    ),
    "flaky": (
        "half a second of delay; with `max_retries=0` an `InternalServerError`",
        "2 where it hits",
    ),
    "timeout-after-accept": (
        "with a time-out: a job as usual, but **two** jobs exist; with `max_retries=0`: "
        "`APITimeoutError`, and one job that the program does not know of",
        "2",
    ),
    "slow-queue": ("status `queued`", "1 a poll"),
    "job-fails": ("no exception: status `failed`, `error.code` `internal_error`", "1 a poll"),
    "bad-file": (
        "no exception: status `failed`, `error.code` `invalid_training_file`",
        "1 a poll",
    ),
    "quota": ("`RateLimitError`, `insufficient_quota`", "3: the client retries it"),
    "truncated": (
        "`JSONDecodeError`, which is not an `OpenAIError`; or, without an exception, half of a "
        "file or stream",
        "1",
    ),
    "expired-key": ("`AuthenticationError`, `invalid_api_key`", "1"),
    "model-retired": (
        "`NotFoundError`, `model_not_found`; for new jobs `BadRequestError`, `model_not_available`",
        "1",
    ),
    "moderation": (
        "no exception: status `failed`, `error.code` `invalid_training_file`",
        "1 a poll",
    ),
    "empty-error": (
        "`if job.error:` is true of jobs that succeed: test `job.status` instead",
        "1 a poll",
    ),
    "plain-results": ("a result file that needs no base64 decoding", "1"),
    "azure": ("what `AzureOpenAI` gets: `DeploymentNotFound` for what is not deployed", "1"),
}
"""By scenario: what openai-python 2 and 3 show a program, and the requests of one call."""

OUTPUT_FILES: Final = (
    (
        "`OUT/gradebook.csv`",
        "Student, status, points (above max_points where extra points are earned), max_points, "
        "lower and upper bound, one column per criterion",
    ),
    ("`OUT/class.html`", "Class page, for the instructor only: it shows hidden questions"),
    (
        "`OUT/students/<student>/feedback.html`",
        "The student's page. Nothing else lies in students/, so you can give each student their "
        "folder as it is",
    ),
    (
        "`OUT/staff/<student>/result.json`",
        "Result in the schema `finegrade/result/v1`, with notes for the instructor",
    ),
    (
        "`OUT/staff/<student>/*.txt`",
        "Written work as plain text; the class page links to it",
    ),
    ("`OUT/evidence.sqlite`", "Evidence store"),
)

VARIABLES: Final = (
    (
        "`FINEGRADE_HOME`",
        "Folder of finegrade's cache (default `~/.cache/finegrade`)",
    ),
    ("`FINEGRADE_ENDPOINT_KEY`", "API key of the service that `grade --endpoint` names"),
    ("`FINEGRADE_SIMULATE_KEY`", "API key that clients of `simulate` must send"),
    ("`HF_HUB_OFFLINE`", "Set to 1: no Hugging Face library opens a connection"),
)

INTRODUCTION: Final = """\
# Reference

`python scripts/make_reference.py` writes this page from the program. Do not edit it.

- [Commands](#commands), [output formats and exit codes](#output-formats-and-exit-codes),
  [files of a graded class](#files-of-a-graded-class),
  [environment variables](#environment-variables), [JSON schemas](#json-schemas)
- [Checks](#checks) of submissions, [rules](#rules-on-training-data) on training data
- [Scenarios](#scenarios) of `finegrade simulate`
"""


FORMATS: Final = """\
## Output formats and exit codes

`check`, `data check`, `grade` and `rescore` take `--format text|json|github`: text for a terminal,
JSON for programs, annotations for GitHub Actions. JSON goes to stdout alone; progress and errors go
to stderr.
"""

CHECKS: Final = """\
## Checks

A check states a claim that holds or does not. *Needs* are the checks that must pass first;
otherwise this one is skipped. *Measures* are the numbers that a rubric may read, as in
`from: EVL001.delta_low95`. `finegrade explain CODE` prints a check's page.
"""

RULES_TEXT: Final = """\
## Rules on training data

`finegrade data check` applies these rules to files; `check` and `grade` apply them to submitted
data. An error would stop a training job; a warning deserves a look. *Source* is who states the
rule. `finegrade explain JSL204` prints a rule's page.
"""

SCENARIOS_TEXT: Final = """\
## Scenarios

`finegrade simulate --scenario NAME` injects a fault, the same one each time under the same
`--seed`. *Requests* is the number of HTTP requests that openai-python 2 and 3 send for one call.
"""


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table. Raises ValueError for a row of another width than the head."""
    lines = []
    for row in (head, ["---"] * len(head), *rows):
        if len(row) != len(head):
            raise ValueError(f"{len(row)} cells in a table of {len(head)} columns: {row}")
        lines.append(f"| {' | '.join(_cell(text) for text in row)} |")
    return "\n".join(lines)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def commands() -> Iterator[tuple[str, Any]]:
    """Every command, as its full name such as "finegrade data check" and what Typer made of it."""
    yield from _commands("finegrade", get_command(app))


def _commands(name: str, command: Any) -> Iterator[tuple[str, Any]]:
    for child, found in getattr(command, "commands", {}).items():
        if hasattr(found, "commands"):
            yield from _commands(f"{name} {child}", found)
        else:
            yield f"{name} {child}", found


def _command_section(name: str, command: Any) -> str:
    usage, rows = [name, "[OPTIONS]"], []
    for parameter in command.params:
        positional = parameter.param_type_name == "argument"
        if positional:
            word = parameter.metavar + ("..." if parameter.nargs == -1 else "")
            usage.append(word if parameter.required else f"[{word}]")
            rows.append((f"`{parameter.metavar}`", parameter.help, _default(parameter)))
        elif parameter.name != "help":
            names = ", ".join(f"`{option}`" for option in parameter.opts)
            value = "" if parameter.is_flag else f" `{_value(parameter)}`"
            rows.append((names + value, parameter.help, _default(parameter)))
            if parameter.required:
                usage.append(f"{max(parameter.opts, key=len)} {_value(parameter)}")
    return "\n\n".join(
        (
            f"### `{name}`",
            f"```\n{' '.join(usage)}\n```",
            command.help,
            table(("Argument or option", "Meaning", "Default"), rows),
            *map(_example, command.epilog.split("\n\n")),
        )
    )


def _example(paragraph: str) -> str:
    """A paragraph of a command's epilogue; the command line of an example as a block of code."""
    label, is_example, line = paragraph.partition(": finegrade ")
    return f"{label}:\n\n```\nfinegrade {line}\n```" if is_example else paragraph


def _value(parameter: Any) -> str:
    kind = parameter.type_descriptor.annotation
    if parameter.metavar:
        return str(parameter.metavar)
    return "|".join(one.value for one in kind) if issubclass(kind, Enum) else kind.__name__


def _default(parameter: Any) -> str:
    """Raises ValueError for a parameter that may be left out and does not say what then holds."""
    if parameter.required:
        return "required"
    if isinstance(parameter.show_default, str):
        return parameter.show_default
    if parameter.default is None:
        raise ValueError(f"{parameter.name}: say what happens by default (show_default)")
    if isinstance(parameter.default, bool):
        return "on" if parameter.default else "off"
    default = parameter.default
    return f"`{default.value if isinstance(default, Enum) else default}`"


def commands_text() -> str:
    """A table of all commands, and a section for each."""
    found = sorted(commands(), key=lambda pair: pair[0])
    rows = [(f"[`{name}`](#{_anchor(name)})", one.help.split("\n\n")[0]) for name, one in found]
    sections = [_command_section(name, command) for name, command in found]
    return "\n\n".join((table(("Command", "What it does"), rows), *sections))


def _anchor(heading: str) -> str:
    """GitHub's anchor of a heading."""
    kept = "".join(c for c in heading.lower() if c.isalnum() or c in " -_")
    return kept.replace(" ", "-")


def family_checks() -> Mapping[str, Sequence[Check]]:
    """The checks of each family. Rules on training data are checks too, but stand by themselves.

    Raises KeyError for a check of a family without a title.
    """
    families: dict[str, list[Check]] = {family: [] for family in FAMILIES}
    for check in all_checks().values():
        if check.code not in RULES:
            families[check.code[:3]].append(check)
    return families


def checks_text() -> str:
    """One table a family: code, claim, the checks that must pass first, measures for rubrics."""
    parts = []
    for family, checks in family_checks().items():
        rows = [
            (f"`{one.code}`", one.title, _codes(one.needs), _codes(one.measures)) for one in checks
        ]
        parts.append(f"### {family}: {FAMILIES[family]}")
        parts.append(table(("Code", "Claim", "Needs", "Measures"), rows))
    return "\n\n".join(parts)


def _codes(names: Sequence[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def rules_table() -> str:
    """One row a rule on training data: severity, claim and source."""
    rows = [(f"`{r.code}`", str(r.severity), r.title, r.source) for r in RULES.values()]
    return table(("Code", "Severity", "Claim", "Source"), rows)


def scenarios_table() -> str:
    """One row a scenario. Raises KeyError for one whose effect on a client nobody described."""
    rows = [(f"`{one.name}`", one.summary, *CLIENT_SEES[one.name]) for one in SCENARIOS.values()]
    return table(("Scenario", "Service", "Client sees", "Requests"), rows)


def schemas_table() -> str:
    """One row a JSON schema of the package."""
    rows = []
    for path in sorted((ROOT / "grader" / "schemas").glob("*.json")):
        title = json.loads(path.read_text(encoding="utf-8")).get("title", "An assignment's YAML")
        rows.append((f"[`{path.name}`]({path.relative_to(ROOT).as_posix()})", title))
    return table(("Schema", "Describes"), rows)


def reference() -> str:
    """The whole page."""
    parts = (
        INTRODUCTION,
        "## Commands",
        commands_text(),
        FORMATS,
        EXIT_CODES,
        "## Files of a graded class",
        "`finegrade grade … --out OUT` writes:",
        table(("File", "Content"), OUTPUT_FILES),
        "## Environment variables",
        table(("Variable", "Meaning"), VARIABLES),
        "## JSON schemas",
        schemas_table(),
        CHECKS,
        checks_text(),
        RULES_TEXT,
        rules_table(),
        SCENARIOS_TEXT,
        scenarios_table(),
    )
    return "\n\n".join(part.strip() for part in parts) + "\n"


if __name__ == "__main__":
    REFERENCE.write_text(reference(), encoding="utf-8")
