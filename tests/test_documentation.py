"""README, REFERENCE, CONTRIBUTING and the help texts say what the program does."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from markdown_it import MarkdownIt
from typer.main import get_command

from grader.checks.api import all as _  # noqa: F401  (registers every check)
from grader.checks.api.registry import all_checks
from grader.cli.main import app
from grader.openai_sim.store.scenarios import SCENARIOS
from grader.training_data.rules import RULES

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "scripts"))

from make_reference import reference, table  # noqa: E402

PAGES = ("README.md", "REFERENCE.md", "CONTRIBUTING.md", "CHANGELOG.md")
PARSER = MarkdownIt("commonmark").enable("table")


def command_names(group: typer.Typer = app, prefix: str = "finegrade") -> Iterator[str]:
    for command in group.registered_commands:
        yield f"{prefix} {command.name or command.callback.__name__}"  # type: ignore[union-attr]
    for child in group.registered_groups:
        assert child.typer_instance is not None
        yield from command_names(child.typer_instance, f"{prefix} {child.name}")


COMMANDS = sorted(command_names())


def headings(text: str) -> list[str]:
    tokens = PARSER.parse(text)
    return [tokens[i + 1].content for i, one in enumerate(tokens) if one.type == "heading_open"]


def tables(text: str) -> dict[str, list[list[list[str]]]]:
    """The tables under each heading: rows of cells, without the head."""
    found: dict[str, list[list[list[str]]]] = {}
    heading, body = "", False
    tokens = PARSER.parse(text)
    for token, following in zip(tokens, [*tokens[1:], tokens[-1]], strict=True):
        match token.type:
            case "heading_open":
                heading = following.content
            case "tbody_open":
                found.setdefault(heading, []).append([])
                body = True
            case "tbody_close":
                body = False
            case "tr_open" if body:
                found[heading][-1].append([])
            case "td_open":
                found[heading][-1][-1].append(following.content)
    return found


def anchors(text: str) -> set[str]:
    """As GitHub makes them of headings."""
    kept = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings(text))
    return {heading.replace(" ", "-") for heading in kept}


def read(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def test_the_reference_is_up_to_date() -> None:
    assert reference() == read("REFERENCE.md"), "run python scripts/make_reference.py"


def test_every_command_has_one_row_and_one_section() -> None:
    text = read("REFERENCE.md")
    [overview] = tables(text)["Commands"]
    assert [re.findall(r"`(.*?)`", row[0]) for row in overview] == [[name] for name in COMMANDS]
    assert sorted(h for h in headings(text) if h.startswith("`finegrade")) == [
        f"`{name}`" for name in COMMANDS
    ]


@pytest.mark.parametrize("name", COMMANDS)
def test_a_commands_section_lists_its_options_and_an_example(name: str) -> None:
    command = get_command(app)
    for word in name.split()[1:]:
        command = command.commands[word]  # type: ignore[attr-defined]
    [options] = tables(read("REFERENCE.md"))[f"`{name}`"]
    assert len(options) == len(command.params)
    for parameter, row in zip(command.params, options, strict=True):
        assert row[1] == getattr(parameter, "help", None)
        assert row[2]
    assert f"Example: {name} " in " ".join((command.epilog or "").split())


def test_every_check_rule_and_scenario_has_one_row() -> None:
    found = tables(read("REFERENCE.md"))
    codes = [row[0].strip("`") for title in found for one in found[title] for row in one]
    for expected in (all_checks().keys() | RULES.keys(), SCENARIOS):
        assert [(name, codes.count(name)) for name in expected if codes.count(name) != 1] == []


@pytest.mark.parametrize("page", PAGES)
def test_no_table_is_broken(page: str) -> None:
    """Whatever looks like a row stands in a table, and no row is empty."""
    text = read(page)
    inside = False
    for token in PARSER.parse(text):
        if token.type in ("table_open", "table_close"):
            inside = token.type == "table_open"
        elif token.type == "inline" and not inside:
            assert not token.content.lstrip().startswith("|"), token.content
    assert all(row[0] for found in tables(text).values() for one in found for row in one)


def test_a_cell_cannot_break_its_table() -> None:
    text = table(("a", "b"), [("x\n\ny", "1|2")])
    assert tables(text)[""] == [[["x y", "1|2"]]]
    with pytest.raises(ValueError, match="1 cells"):
        table(("a", "b"), [("x",)])


def test_the_readme_is_short() -> None:
    assert len(read("README.md").splitlines()) <= 200


def test_the_readmes_example_prints_what_it_shows(tmp_path: Path) -> None:
    """The broken file of the first example, made and checked as a reader would."""
    text = read("README.md")
    made = re.search(
        r"cat > train\.jsonl <<'END'\n(.*?)END\n(finegrade data check [^\n]*)", text, re.S
    )
    assert made is not None
    (tmp_path / "train.jsonl").write_text(made[1], encoding="utf-8")
    shown = text[made.end() :].split("```")[2].split("\n", 1)[1]
    done = subprocess.run(
        [sys.executable, "-m", "grader.cli.main", *made[2].split()[1:]],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == shown
    assert done.returncode == 1


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    for path, anchor in re.findall(r"\]\((?!https?:)([^)#\s]*)#?([^)\s]*)\)", read(page)):
        target = ROOT / (path or page)
        assert target.exists(), path
        if anchor:
            assert anchor in anchors(target.read_text(encoding="utf-8")), f"{path}#{anchor}"


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md"])
def test_files_and_commands_that_are_named_exist(page: str) -> None:
    text = read(page)
    folders = "assets|datasets|grader|rubrics|scripts|solutions|starter|tests"
    paths = re.findall(rf"`((?:{folders})/[\w./-]*)`", text)
    assert [path for path in paths if not (ROOT / path).exists()] == []
    blocks = "\n".join(one.content for one in PARSER.parse(text) if one.type == "fence")
    commands = set(re.findall(r"^finegrade ((?:data |hidden )?[a-z]+)", blocks, re.M))
    assert commands or page != "README.md"
    assert commands - {name.removeprefix("finegrade ") for name in COMMANDS} == set()


def test_contributing_lists_every_room() -> None:
    [rooms] = tables(read("CONTRIBUTING.md"))["The house"]
    packages = {path.parent.name for path in (ROOT / "grader").glob("*/__init__.py")}
    assert {row[1].strip("`") for row in rooms} == packages


@pytest.mark.parametrize("group", [(), ("data",), ("hidden",)])
def test_help_shows_every_summary_in_full(group: tuple[str, ...]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "grader.cli.main", *group, "--help"],
        capture_output=True,
        text=True,
        check=True,
        env={"COLUMNS": "80", "PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
    )
    assert "..." not in done.stdout.split("Commands:")[1]
    assert "Example: finegrade" in done.stdout
