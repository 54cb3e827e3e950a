"""Starter kits: no solution ever gets out, and what gets out is what was meant to."""

from __future__ import annotations

import ast
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.paths import ROOT

from grader.assignment import kit
from grader.assignment.kit import kit_files, starter_files, strip_solution, write_kit
from grader.assignment.load import load_assignment
from grader.core.errors import UsageError

ASSIGNMENTS = sorted(path.name for path in (ROOT / "solutions").iterdir() if path.is_dir())
TOPIC = "educational-qa"


def test_a_block_becomes_a_stub_at_its_indentation() -> None:
    source = (
        "def f():\n"
        "    x = 1\n"
        '    ### BEGIN SOLUTION: add "two" to x\n'
        "    return x + 2\n"
        "    ### END SOLUTION\n"
    )
    starter = strip_solution(source, "a.py")
    assert starter == (
        'def f():\n    x = 1\n    raise SystemExit("a.py, still to write: add \\"two\\" to x")\n'
    )


def test_a_block_need_not_say_what_to_write() -> None:
    starter = strip_solution("### BEGIN SOLUTION\nx = 1\n### END SOLUTION\n", "a.py")
    assert starter == 'raise SystemExit("a.py, still to write: this part")\n'


def test_a_block_may_have_code_to_begin_with() -> None:
    source = (
        "class A:\n"
        "    ### BEGIN SOLUTION: do more\n"
        "    def f(self):\n"
        "        return 2\n"
        "\n"
        "    ### STARTER\n"
        "    # def f(self):\n"
        "    #     return 1\n"
        "    #\n"
        "    ### END SOLUTION\n"
    )
    starter = strip_solution(source, "a.py")
    assert starter == ("class A:\n    # To write: do more\n    def f(self):\n        return 1\n\n")


def test_a_long_text_goes_on_a_line_of_its_own() -> None:
    what = "w" * 90
    starter = strip_solution(f"### BEGIN SOLUTION: {what}\n1\n### END SOLUTION\n", "a.py")
    assert max(map(len, starter.splitlines())) <= 100
    ast.parse(starter)


def test_a_block_of_markdown_becomes_a_line_to_fill_in() -> None:
    source = "# Title\n\n### BEGIN SOLUTION: what you saw\nI saw it.\n### END SOLUTION\n"
    assert strip_solution(source, "a.md") == "# Title\n\n_Write here: what you saw_\n"


def test_what_has_no_block_stays_as_it_is() -> None:
    source = "# A heading\r\nx = 'SOLUTION'\n"
    assert strip_solution(source, "a.py") == source


@pytest.mark.parametrize(
    ("source", "line"),
    [
        ("### BEGIN SOLUTION\n### BEGIN SOLUTION\n### END SOLUTION\n", 2),
        ("x = 1\n### BEGIN SOLUTION\n", 2),
        ("### END SOLUTION\n", 1),
        ("### BEGIN SOLUTION\n1\n### END SOLUTION: done\n", 3),
        ("## BEGIN SOLUTION\n1\n## END SOLUTION\n", 1),
        ("x = 1  ### BEGIN SOLUTION\n", 1),
        ("### begin solution\n", 1),
        ("### BEGIN SOLUTION\n1\n### END-SOLUTION\n", 3),
        ("### BEGIN SOLUTION:\n1\n### END SOLUTION\n", 1),
        ("### STARTER\n", 1),
        ("### BEGIN SOLUTION\n1\n### STARTER\nx = 1\n### END SOLUTION\n", 4),
    ],
)
def test_a_wrong_marker_is_refused_by_file_and_line(source: str, line: int) -> None:
    with pytest.raises(UsageError, match=rf"a\.py, line {line}\b"):
        strip_solution(source, "a.py")


def test_a_starter_that_is_no_python_is_refused() -> None:
    with pytest.raises(UsageError, match=r"a\.py"):
        strip_solution("if x:\n### BEGIN SOLUTION\n    1\n### END SOLUTION\n", "a.py")


SECRET = st.text("secret", min_size=6).map(lambda text: f"solved_{text}")


@given(st.lists(SECRET | st.none(), max_size=6), st.sampled_from(["a.py", "a.md"]))
def test_nothing_between_markers_gets_out(blocks: list[str | None], path: str) -> None:
    source = "".join(
        "open\n" if b is None else f"### BEGIN SOLUTION: do\n{b}\n### END SOLUTION\n"
        for b in blocks
    )
    starter = strip_solution(source, path)
    assert "solved_" not in starter
    assert "SOLUTION" not in starter
    assert starter.count("open\n") == blocks.count(None)


@pytest.mark.parametrize("assignment", ASSIGNMENTS)
def test_the_starter_is_what_the_solution_makes(assignment: str) -> None:
    folder = ROOT / "starter" / assignment
    there = {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert there == starter_files(assignment), "run python scripts/make_starter.py"


@pytest.mark.parametrize("assignment", ASSIGNMENTS)
def test_the_kit_tells_the_budget_of_the_assignment(assignment: str) -> None:
    budget = load_assignment(assignment).budget
    told = " ".join((ROOT / "starter" / assignment / "README.md").read_text("utf-8").split())
    assert f"together may take {budget.wall_seconds:.0f} seconds" in told
    assert f"{budget.processor_seconds:.0f} of them on a processor" in told


def test_a_file_nobody_marked_is_not_handed_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "solutions" / "a"
    folder.mkdir(parents=True)
    monkeypatch.setattr(kit, "__file__", str(tmp_path / "grader" / "assignment" / "kit.py"))
    (folder / "given.txt").write_text("readme.md\n")
    (folder / "readme.md").write_text("Read me.\n")
    (folder / "mine.jsonl").write_text("{}\n")
    assert starter_files("a") == {"readme.md": b"Read me.\n"}
    (folder / "secret.py").write_text("answer = 42\n")
    with pytest.raises(UsageError, match=r"secret\.py has no solution block"):
        starter_files("a")
    (folder / "secret.py").unlink()
    (folder / "readme.md").unlink()
    with pytest.raises(UsageError, match=r"names readme\.md"):
        starter_files("a")
    with pytest.raises(UsageError, match="not there"):
        starter_files("b")


def test_a_kit_holds_scripts_public_data_and_the_course_model(tmp_path: Path) -> None:
    names = write_kit("llm-methods", TOPIC, tmp_path / "kit")
    assert names == sorted(names)
    assert {"data/train.jsonl", "data/validation.jsonl", "data/test.jsonl"} < set(names)
    assert {"course-model/model.safetensors", "requirements.txt", "README.md"} < set(names)
    written = [path for path in (tmp_path / "kit").rglob("*") if path.is_file()]
    assert sorted(path.relative_to(tmp_path / "kit").as_posix() for path in written) == names
    assert not any(path.is_symlink() for path in written)
    for name in names:
        assert not any(part.startswith((".", "_")) for part in name.split("/"))
        assert "hidden" not in name
        assert "solution" not in name
        if name.endswith((".py", ".md")):
            assert "BEGIN SOLUTION" not in (tmp_path / "kit" / name).read_text()


def test_a_kit_says_how_the_work_is_graded(tmp_path: Path) -> None:
    assignment = load_assignment("llm-methods")
    write_kit("llm-methods", TOPIC, tmp_path / "kit", assignment, {"DSP002": "It gains"})
    text = (tmp_path / "kit" / "RUBRIC.md").read_text("utf-8")
    for criterion in assignment.criteria:
        assert criterion.title in text
        for item in criterion.items:
            for said in (item.claim, item.full, item.half, item.none, item.example):
                assert said in text
    assert "DSP002: It gains." in text
    assert "95% interval: what is certain beyond luck. 1 point from +2% on, 2 from +15%" in text
    assert "Only if DSP003 holds." in text
    assert "(24 points): a person judges this in: Comparative analysis" in text


def test_a_zip_holds_the_same_and_is_always_the_same(tmp_path: Path) -> None:
    names = write_kit("llm-methods", TOPIC, tmp_path / "kit")
    assert write_kit("llm-methods", TOPIC, tmp_path / "one.zip") == names
    write_kit("llm-methods", TOPIC, tmp_path / "two.zip")
    assert (tmp_path / "one.zip").read_bytes() == (tmp_path / "two.zip").read_bytes()
    with zipfile.ZipFile(tmp_path / "one.zip") as archive:
        assert archive.namelist() == names
        for name in names:
            assert archive.read(name) == (tmp_path / "kit" / name).read_bytes()


def test_nothing_is_written_over(tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    write_kit("llm-methods", TOPIC, tmp_path / "work")
    (tmp_path / "file").write_text("mine")
    (tmp_path / "old.zip").write_text("mine")
    for name in ("work", "file", "old.zip"):
        with pytest.raises(UsageError, match=name):
            write_kit("llm-methods", TOPIC, tmp_path / name)
    assert (tmp_path / "old.zip").read_text() == "mine"


@pytest.mark.parametrize(("assignment", "topic"), [("no-such", TOPIC), ("llm-methods", "no-such")])
def test_a_kit_that_is_not_there_is_said(assignment: str, topic: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no kit"):
        write_kit(assignment, topic, tmp_path / "kit")
    assert not (tmp_path / "kit").exists()


def shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A made-up place that kits are taken from."""
    for folder in ("starter/a", "datasets/t", "starter/course-model"):
        (tmp_path / folder).mkdir(parents=True)
    monkeypatch.setattr(kit, "resource", lambda kind, *parts: tmp_path.joinpath(kind, *parts))
    return tmp_path


def test_only_what_is_on_the_list_goes_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = shipped(tmp_path, monkeypatch)
    for name in ("starter/a/a.py", "datasets/t/train.jsonl", "starter/course-model/config.json"):
        (root / name).write_text("x")
    for name in ("starter/a/.env", "starter/a/a.pyc", "datasets/t/a.py", "starter/a/grades.csv",
                 "starter/course-model/pytorch_model.bin"):  # fmt: skip
        (root / name).write_text("x")
    assert list(kit_files("a", "t")) == ["a.py", "course-model/config.json", "data/train.jsonl"]


@pytest.mark.parametrize("name", ["hidden.jsonl", "hidden-2/answers.jsonl"])
def test_a_hidden_set_is_refused(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = shipped(tmp_path, monkeypatch) / "datasets" / "t" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text("{}\n")
    with pytest.raises(UsageError, match="hidden"):
        kit_files("a", "t")


def test_a_link_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = shipped(tmp_path, monkeypatch)
    (root / "starter" / "a" / "a.py").symlink_to("/etc/hostname")
    with pytest.raises(UsageError, match="link"):
        kit_files("a", "t")
