"""The command line as users meet it: real processes, their output and exit codes."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from support.classes import write_class
from support.paths import ROOT

from grader.assignment.load import load_assignment
from grader.checks.api import all as _all_checks  # noqa: F401  (registers every check)
from grader.checks.api.registry import all_checks
from grader.cli.main import main
from grader.core.files import resource


def finegrade(*arguments: str | Path, expect: int = 0) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-m", "grader.cli.main", *map(str, arguments)],
        capture_output=True,
        text=True,
        env=os.environ | {"HF_HUB_OFFLINE": "1", "COLUMNS": "160"},
        check=False,
    )
    assert done.returncode == expect, done.stderr + done.stdout
    return done


Here = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Here:
    """The same as `finegrade`, in this process: for commands that say one thing and end."""

    def run(*arguments: str | Path, expect: int = 0) -> subprocess.CompletedProcess[str]:
        monkeypatch.setattr(sys, "argv", ["finegrade", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        code, said = ended.value.code or 0, capsys.readouterr()
        assert code == expect, said
        return subprocess.CompletedProcess(arguments, expect, said.out, said.err)

    return run


@pytest.fixture(scope="module")
def graded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """(class folder, OUT) of a graded class, through the commands that an instructor types."""
    work = tmp_path_factory.mktemp("cli")
    folder = work / "class"
    folder.mkdir()
    write_class(folder)
    finegrade("hidden", "make", "--seed", 4, "--questions", 12, "--out", work / "hidden")
    finegrade("grade", folder, "--hidden", work / "hidden", "--out", work / "out")
    return folder, work / "out"


def test_grading_writes_everything_that_the_contract_names(graded: tuple[Path, Path]) -> None:
    _, out = graded
    for name in ("gradebook.csv", "class.html", "evidence.sqlite"):
        assert (out / name).stat().st_size > 0
    header = next(csv.reader((out / "gradebook.csv").read_text().splitlines()))
    assert header[:6] == ["student", "status", "points", "max_points", "lower", "upper"]
    criteria = [criterion.id for criterion in load_assignment("llm-methods").criteria]
    assert header[6:] == criteria
    result = json.loads((out / "staff" / "good-1" / "result.json").read_text())
    assert result["schema"] == "finegrade/result/v1"
    assert (out / "students" / "good-1" / "feedback.html").exists()


def test_grading_again_runs_no_model_and_changes_no_file(graded: tuple[Path, Path]) -> None:
    folder, out = graded
    before = {p: p.read_bytes() for p in sorted(out.rglob("*")) if p.suffix in (".json", ".html")}
    again = finegrade("grade", folder, "--hidden", out.parent / "hidden", "--out", out)
    assert "Collected 0 pieces of evidence" in again.stdout
    assert {p: p.read_bytes() for p in before} == before


def test_json_goes_to_stdout_alone(graded: tuple[Path, Path]) -> None:
    folder, out = graded
    hidden = out.parent / "hidden"
    done = finegrade("grade", folder, "--hidden", hidden, "--out", out, "--format", "json")
    assert {r["submission"]["student"] for r in json.loads(done.stdout)} >= {"good-1", "evil"}


def test_check_says_what_failed_and_exits_with_one(graded: tuple[Path, Path]) -> None:
    folder, _ = graded
    done = finegrade("check", folder / "broken", expect=1)
    assert "ADP007" in done.stdout
    assert "certain on public data" in done.stdout
    assert "What one more step is worth" in done.stdout
    plain = finegrade("check", folder / "broken", "--points", "off", expect=1).stdout
    assert "ADP007" in plain
    assert not re.search(r"Points|certain|more step", plain)
    told = json.loads(finegrade("check", folder / "broken", "--format", "json", expect=1).stdout)
    lora = told["total"]["parts"]["lora"]
    assert lora["lower"] <= lora["upper"] <= lora["max_points"] == 20
    (broken,) = (one for one in told["findings"] if one["code"] == "ADP007")
    assert broken["worth"] == {"points": 0, "max_points": 2}
    github = finegrade("check", folder / "broken", "--format", "github", expect=1)
    assert re.search(r"^::error .*ADP007", github.stdout, re.M)


@pytest.mark.live(sample=3, of="whole commands")
def test_changed_weights_rescore_with_a_table_of_why(
    graded: tuple[Path, Path], tmp_path: Path
) -> None:
    _, out = graded
    text = (ROOT / "rubrics" / "llm-methods.yaml").read_text()
    rubric = yaml.safe_load(text)
    for criterion in rubric["criteria"]:
        criterion["points"] = {
            "lora_adapter": 3,
            "lora_claims": 0.5,
            "lora_hyperparameters": 0.5,
        }.get(criterion["id"], criterion["points"])
    changed = tmp_path / "mine.yaml"
    changed.write_text(yaml.safe_dump(rubric))
    done = finegrade("rescore", out, "--rubric", changed)
    assert "worth 3 points, was 2" in done.stdout
    result = json.loads((out / "staff" / "good-1" / "result.json").read_text())
    adapter = next(c for c in result["criteria"] if c["id"] == "lora_adapter")
    assert (adapter["points"], adapter["max_points"]) == (3, 3)
    assert "no points changed" in finegrade("rescore", out).stdout  # the rubric given last stays
    finegrade("rescore", out, "--rubric", "llm-methods")  # back to the one that ships
    assert "no points changed" in finegrade("rescore", out).stdout


@pytest.mark.parametrize("code", sorted({code[:3] for code in all_checks()}))
def test_explain_gives_the_page_of_a_check_of_each_family(code: str, here: Here) -> None:
    first = next(c for c in all_checks().values() if c.code.startswith(code))
    said = " ".join(here("explain", first.code).stdout.split())
    assert first.title in said
    assert first.fix in said


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("explain", "ADP999"), "There is no check ADP999"),
        (("check", "/does/not/exist"), "/does/not/exist"),
        (("check", ".", "--assignment", "no-such"), "Known: llm-methods"),
        (("rescore", "/does/not/exist"), "holds no results"),
        (("hidden", "make", "--out", "{tmp}/h", "--questions", "100000"), "--questions 100000"),
        (("kit", "no-such", "{tmp}/kit"), "Known: llm-methods"),
        (("grade", ".", "--hidden", "{tmp}", "--out", "{tmp}/o"), "holds no hidden set"),
    ],
)
def test_wrong_usage_is_one_clear_line_and_exit_two(
    arguments: tuple[str, ...], says: str, tmp_path: Path, here: Here
) -> None:
    said = here(*(a.replace("{tmp}", str(tmp_path)) for a in arguments), expect=2)
    assert says in said.stderr
    assert "Traceback" not in said.stderr
    assert said.stdout == ""


def test_a_damaged_store_is_the_graders_fault(graded: tuple[Path, Path], tmp_path: Path) -> None:
    folder, out = graded
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "evidence.sqlite").write_text("not a database, but long enough " * 40)
    hidden = out.parent / "hidden"
    arguments = ("grade", folder, "--hidden", hidden, "--out", tmp_path / "out")
    assert "evidence store" in finegrade(*arguments, expect=3).stderr


def test_help_and_light_commands_import_nothing_heavy() -> None:
    """What makes start-up slow stays out: torch, scipy, matplotlib, jsonschema."""
    code = (
        "import sys; sys.argv = ['finegrade', '--help']\n"
        "from grader.cli.main import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'transformers', 'scipy', 'matplotlib', 'numpy', 'jsonschema'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip().endswith("[]")


def test_places_that_would_mix_submissions_with_the_instructors_own_are_refused(
    graded: tuple[Path, Path], tmp_path: Path
) -> None:
    folder, out = graded
    hidden = out.parent / "hidden"
    inside = finegrade("grade", folder, "--hidden", hidden, "--out", folder / "out", expect=2)
    assert "--out" in inside.stderr
    assert not (folder / "out").exists()
    exposed = finegrade("grade", out.parent, "--hidden", hidden, "--out", tmp_path, expect=2)
    assert "--hidden" in exposed.stderr or "--out" in exposed.stderr


@pytest.mark.live(sample=3, of="whole commands")
def test_an_out_folder_of_an_earlier_version_is_put_right_and_says_so(
    graded: tuple[Path, Path], tmp_path: Path
) -> None:
    _, out = graded
    old = tmp_path / "old"
    shutil.copytree(out, old)
    for file in (old / "staff").glob("*/*"):
        file.rename(old / "students" / file.parent.name / file.name)
    shutil.rmtree(old / "staff")
    said = finegrade("rescore", old)
    assert "was moved from students/ to staff/, for 5 students." in said.stderr
    assert "no points changed" in said.stdout
    assert {path.name for path in (old / "students").glob("*/*")} == {"feedback.html"}
    assert not finegrade("rescore", old).stderr


def test_an_out_folder_of_another_assignment_is_left_as_it_is(
    graded: tuple[Path, Path], tmp_path: Path
) -> None:
    folder, out = graded
    other = tmp_path / "other.yaml"
    other.write_text(
        resource("rubrics", "llm-methods.yaml").read_text().replace("id: llm-methods", "id: other")
    )
    before = (out / "staff" / "good-1" / "result.json").read_bytes()
    done = finegrade(
        "grade", folder, "-a", other, "--hidden", out.parent / "hidden", "--out", out, expect=2
    )
    assert "results of llm-methods" in done.stderr
    assert (out / "staff" / "good-1" / "result.json").read_bytes() == before


@pytest.mark.parametrize("error", ["OSError(28, 'No space left on device')", "KeyError('oops')"])
def test_the_graders_own_failure_is_never_taken_for_a_students(error: str) -> None:
    script = (
        "from grader.assignment import load\n"
        "from grader.cli import main\n"
        "def fails(*_): raise " + error + "\n"
        "load.load_assignment = fails\n"
        "main.main()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, "kit", "llm-methods", "nowhere"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 3, done.stderr
    assert ("No space left" in done.stderr) or ("oops" in done.stderr)


@pytest.mark.live(sample=3, of="whole commands")
def test_a_check_that_raises_ends_with_exit_three_and_everyone_is_graded(
    graded: tuple[Path, Path], tmp_path: Path
) -> None:
    folder, out = graded
    code = (
        "import sys\n"
        "from dataclasses import replace\n"
        "import grader.checks.api.all; from grader.checks.api import registry\n"
        "from grader.cli.main import main\n"
        "def raises(context): raise RuntimeError('a fault of ours')\n"
        "check = registry._CHECKS['LAY041']\n"
        "registry._CHECKS['LAY041'] = replace(check, function=raises)\n"
        f"sys.argv = ['finegrade', 'grade', {str(folder)!r}, '--hidden',\n"
        f"            {str(out.parent / 'hidden')!r}, '--out', {str(tmp_path / 'out')!r}]\n"
        "main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 3
    assert "The grader failed on" in done.stderr
    rows = (tmp_path / "out" / "gradebook.csv").read_text().splitlines()
    assert len(rows) == 1 + 5
    result = json.loads((tmp_path / "out" / "staff" / "good-1" / "result.json").read_text())
    reflection = next(c for c in result["criteria"] if c["id"] == "reflection")
    assert (result["status"], reflection["points"]) == ("PendingManual", None)


MODEL = ("--endpoint-model", "gpt-4o-mini")
OWN = ("--endpoint-model", "our-qwen")


@pytest.mark.parametrize(
    ("url", "key", "more", "says"),
    [
        ("https://api.example.com/v1", "", MODEL, "FINEGRADE_ENDPOINT_KEY"),
        ("ftp://api.example.com/v1", "sk", MODEL, "expected an address"),
        ("https://api.example.com", "sk", MODEL, "expected an address"),
        ("https://api.example.com/v1", "sk", (), "needs --endpoint-model NAME"),
        ("https://api.example.com/v1", "sk", MODEL, "needs --budget USD: gpt-4o-mini costs"),
        ("https://api.example.com/v1", "sk", (*MODEL, "--budget", "inf"), "an amount in USD"),
        ("https://api.example.com/v1", "sk", (*OWN, "--budget", "5"), "no price of our-qwen"),
        ("https://api.example.com/v1", "sk", (*OWN, "--endpoint-price", "1"), "such as 0.15,0.60"),
        ("https://a.example/v1", "sk", (*OWN, "--endpoint-price", "-1,inf"), "such as 0.15,0.60"),
        ("https://a.example/v1", "sk", (*OWN, "--endpoint-price", "1,2"), "needs --budget USD"),
    ],
)
def test_an_endpoint_that_is_not_fully_described_is_refused(
    graded: tuple[Path, Path],
    monkeypatch: pytest.MonkeyPatch,
    here: Here,
    url: str,
    key: str,
    more: tuple[str, ...],
    says: str,
) -> None:
    monkeypatch.setenv("FINEGRADE_ENDPOINT_KEY", key)
    folder, out = graded
    hidden = out.parent / "hidden"
    arguments = ("grade", folder, "--hidden", hidden, "--out", out, "--endpoint", url, *more)
    assert says in here(*arguments, expect=2).stderr


@pytest.mark.live(sample=1)
@pytest.mark.parametrize("price", [("--endpoint-price", "0,0"), ("--budget", "2.50")])
def test_a_class_without_dspy_programs_spends_nothing(
    graded: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, price: tuple[str, str]
) -> None:
    monkeypatch.setenv("FINEGRADE_ENDPOINT_KEY", "sk")
    folder, out = graded
    endpoint = ("--endpoint", "http://127.0.0.1:9/v1", *MODEL, *price)
    arguments = ("--hidden", out.parent / "hidden", "--out", out, *endpoint)
    said = finegrade("grade", folder, *arguments).stderr
    assert ("answered at no cost" in said) or ("Spent USD 0.00 of the budget of USD 2.50" in said)


@pytest.mark.live(sample=3, of="whole commands")
def test_a_replay_gives_the_same_marks_and_reuses_the_answers_of_adapters(
    graded: tuple[Path, Path], tmp_path: Path
) -> None:
    folder, out = graded
    before = {p: p.read_bytes() for p in sorted(out.rglob("*")) if p.is_file()}
    hidden, again = out.parent / "hidden", tmp_path / "again"
    done = finegrade("grade", folder, "--hidden", hidden, "--out", again, "--replay", out)
    assert f"pieces of evidence, with responses recorded in {out}" in done.stdout
    assert (again / "gradebook.csv").read_bytes() == (out / "gradebook.csv").read_bytes()
    kept = {p: p.read_bytes() for p in before if p.exists()}
    assert kept == before, "what was recorded stays as it is"


@pytest.mark.live(sample=3, of="whole commands")
def test_copies_have_originals_where_one_student_is_replayed_alone(
    graded: tuple[Path, Path], tmp_path: Path
) -> None:
    folder, out = graded
    hidden = out.parent / "hidden"
    alone = ("--hidden", hidden, "--out", tmp_path, "--one", "--replay", out)
    finegrade("grade", folder / "copy", *alone)
    alone, then = (
        json.loads((place / "staff" / "copy" / "result.json").read_text())["criteria"]
        for place in (tmp_path, out)
    )
    assert alone == then


@pytest.mark.parametrize(
    ("replay", "more", "says"),
    [
        ("{out}", ("--out", "{out}"), "both name"),
        ("{out}", ("--out", "{tmp}/o", "--endpoint", "https://a/v1"), "omit --endpoint"),
        ("{tmp}/none", ("--out", "{tmp}/o"), "holds no results"),
        ("{tmp}/no-store", ("--out", "{tmp}/o"), "evidence.sqlite cannot be replayed"),
        ("{tmp}/damaged", ("--out", "{tmp}/o"), "evidence.sqlite cannot be replayed"),
    ],
)
def test_what_cannot_be_replayed_at_all_is_wrong_usage(
    graded: tuple[Path, Path],
    tmp_path: Path,
    here: Here,
    replay: str,
    more: tuple[str, ...],
    says: str,
) -> None:
    folder, out = graded
    for name in ("no-store", "damaged"):
        shutil.copytree(out / "staff", tmp_path / name / "staff")
    (tmp_path / "damaged" / "evidence.sqlite").write_text("no database, but long enough " * 40)
    places = {"{out}": str(out), "{tmp}": str(tmp_path)}
    arguments = [replay, *more]
    for name, place in places.items():
        arguments = [argument.replace(name, place) for argument in arguments]
    hidden = out.parent / "hidden"
    said = here("grade", folder, "--hidden", hidden, "--replay", *arguments, expect=2)
    assert says in said.stderr
    assert not (tmp_path / "o").exists()


@pytest.mark.live(sample=3, of="whole commands")
def test_a_folder_in_a_submission_never_overwrites_a_classmate(
    graded: tuple[Path, Path], tmp_path: Path
) -> None:
    _, out = graded
    (tmp_path / "class" / "alice" / "bob").mkdir(parents=True)
    (tmp_path / "class" / "bob").mkdir()
    for home in (tmp_path / "class" / "alice" / "bob", tmp_path / "class" / "bob"):
        (home / "reflection.md").write_text(f"Of {home.parent.name}.")
    (tmp_path / "class" / "alice" / "submissions.csv").write_text("student,submitted_at\n")
    here = ("--hidden", out.parent / "hidden", "--out", tmp_path / "out")
    finegrade("grade", tmp_path / "class", *here)
    before = (tmp_path / "out" / "gradebook.csv").read_text()
    finegrade("grade", tmp_path / "class" / "alice", *here)  # known as one submission
    assert (tmp_path / "out" / "gradebook.csv").read_text() == before
    (tmp_path / "late").mkdir()
    (tmp_path / "class" / "alice").rename(tmp_path / "late" / "carol")
    told = finegrade("grade", tmp_path / "late" / "carol", *here, expect=2).stderr
    assert "bob was graded from" in told
    assert "--class" in told
    assert "--one" in told
    finegrade("grade", tmp_path / "late" / "carol", "--one", *here)
    assert "carol" in (tmp_path / "out" / "gradebook.csv").read_text()
