"""Writes the generated parts of README.md: the command reference, the checks, the rules.

Run from the repository root: python scripts/make_readme.py
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from typer.main import get_command

from grader.checks import all as _all_checks  # noqa: F401  (registers every check)
from grader.checks.api.registry import all_checks
from grader.cli.main import app
from grader.training_data.rules import RULES

README = Path(__file__).parents[1] / "README.md"


def commands_table() -> str:
    """One row a command: what it takes and what it does, as the parser knows them."""
    rows = ["| Command | Does |", "|---|---|"]
    for path, command in _commands(get_command(app), ()):
        words = [f"finegrade {' '.join(path)}"]
        options = []
        for parameter in command.params:
            if parameter.param_type_name == "argument":
                words.append(parameter.name.upper() + ("..." if parameter.nargs == -1 else ""))
            elif not parameter.hidden and parameter.name != "help":
                option = f"`{max(parameter.opts, key=len)}` {parameter.help}"
                options.append(option + ("" if parameter.required is False else " (required)"))
        text = (command.help or "").strip() + (" " + " ".join(options) if options else "")
        rows.append(f"| `{' '.join(words)}` | {text} |")
    return "\n".join(rows)


def _commands(command: Any, path: tuple[str, ...]) -> list[tuple[tuple[str, ...], Any]]:
    found = []
    for name, child in command.commands.items():
        if hasattr(child, "commands"):
            found += _commands(child, (*path, name))
        else:
            found.append(((*path, name), child))
    return found


def checks_table() -> str:
    """One row a check, with its claim; rules on training data have a table of their own."""
    rows = ["| Code | Claim |", "|---|---|"]
    checks = [check for check in all_checks().values() if check.code not in RULES]
    rows += [f"| `{check.code}` | {check.title} |" for check in checks]
    return "\n".join(rows)


def rules_table() -> str:
    """One row a rule on training data: how much it matters, its claim, who asks for it."""
    rows = ["| Code | Severity | Claim | Asked for by |", "|---|---|---|---|"]
    rows += [f"| `{r.code}` | {r.severity} | {r.title} | {r.source} |" for r in RULES.values()]
    return "\n".join(rows)


def written(text: str) -> str:
    """The README with its generated parts as they must be."""
    tables = {"commands": commands_table(), "checks": checks_table(), "rules": rules_table()}
    for name, table in tables.items():
        pattern = re.compile(rf"(<!-- {name}:[^\n]*-->\n).*?(<!-- /{name} -->)", re.S)
        text = pattern.sub(lambda m, table=table: f"{m[1]}{table}\n{m[2]}", text)  # type: ignore[misc]
    return text


if __name__ == "__main__":
    README.write_text(written(README.read_text()))
