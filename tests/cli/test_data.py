"""`finegrade data` as users meet it: real files, their output and exit codes."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import NamedTuple
from unittest.mock import patch

import pytest
from jsonschema import Draft202012Validator
from support.paths import ROOT

from grader.cli.main import main
from grader.core.files import resource

SCHEMA = json.loads((ROOT / "grader" / "schemas" / "findings.v1.json").read_text())
TRAIN = resource("datasets", "educational-qa", "train.jsonl")
TEST = resource("datasets", "educational-qa", "test.jsonl")
HOSTILE = "\x1b[31m\x1b]0;t\x07\u202e<script>alert(1)</script>::error file=x::y %0A::notice::z"
BEYOND = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e\u2028]")


class Done(NamedTuple):
    """What a command printed."""

    stdout: str
    stderr: str


def run(*arguments: str | Path) -> tuple[int, Done]:
    """(exit code, what was printed) of the command, without a process of its own."""
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8", newline="") for _ in range(2))
    argv = ["finegrade", "data", *map(str, arguments)]
    with (
        patch.object(sys, "argv", argv),
        redirect_stdout(out),
        redirect_stderr(err),
        pytest.raises(SystemExit) as ended,
    ):
        main()
    printed = []
    for stream in (out, err):
        stream.flush()
        printed.append(stream.buffer.getvalue().decode())  # type: ignore[attr-defined]
    code = ended.value.code
    return (code if isinstance(code, int) else 0), Done(*printed)


def finegrade(*arguments: str | Path, expect: int = 0) -> Done:
    code, done = run(*arguments)
    assert code == expect, done.stderr + done.stdout
    return done


def chat(*turns: tuple[str, str]) -> dict[str, object]:
    return {"messages": [{"role": role, "content": content} for role, content in turns]}


def write(path: Path, *examples: object) -> Path:
    path.write_text("".join(json.dumps(example) + "\n" for example in examples))
    return path


ANIMALS = ("ant", "bat", "cat", "dog", "elk", "fox", "gnu", "hen", "ibis", "jay", "koala", "lynx")


def good(n: int) -> list[dict[str, object]]:
    return [
        chat(
            ("system", "Answer with the shortest correct answer."),
            ("user", f"How many letters are in the name of the {ANIMALS[i % 12]}, times {i}?"),
            ("assistant", f"It is {len(ANIMALS[i % 12]) * i} in all."),
        )
        for i in range(n)
    ]


@pytest.fixture
def bad(tmp_path: Path) -> Path:
    """Twelve good examples and eight whose assistant is called bot."""
    broken = [chat(("system", "s"), ("user", f"question {i}"), ("bot", "a")) for i in range(8)]
    return write(tmp_path / "bad.jsonl", *good(12), *broken)


def test_a_clean_file_is_said_to_be_clean_and_exits_with_zero() -> None:
    done = finegrade("check", TRAIN)
    assert done.stdout.startswith(f"{TRAIN}: 406 examples of kind chat")
    assert re.search(
        r"^  [\d,]+ tokens \(min \d+, mean [\d.]+, p95 \d+, max \d+\)$", done.stdout, re.M
    )
    assert "USD" in done.stdout
    assert not re.search(r"^\S+ error ", done.stdout, re.M)
    assert done.stderr == ""


def test_faults_stand_at_their_lines_once_a_rule_and_exit_with_one(bad: Path) -> None:
    out = finegrade("check", bad, expect=1).stdout
    assert re.findall(rf"^{re.escape(str(bad))}:(\d+): the role is", out, re.M) == [
        "13",
        "14",
        "15",
    ]
    assert "  … and 5 more (--all shows them)\n" in out
    assert out.count('  Fix: Say "assistant"') == 1
    assert re.search(r"^\d+ errors.* in 1 file$", out.splitlines()[-1])
    everything = finegrade("check", bad, "--all", expect=1).stdout
    assert everything.count(": the role is") == 8
    assert "more" not in everything


@pytest.mark.parametrize("colour", [True, False])
def test_a_terminal_has_colours_unless_they_are_not_wanted(bad: Path, colour: bool) -> None:
    import pty

    own, theirs = pty.openpty()
    environment = {k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "TERM")}
    process = subprocess.Popen(
        [sys.executable, "-m", "grader.cli.main", "data", "check", str(bad)],
        stdout=theirs,
        stderr=theirs,
        env=environment
        | {"TERM": "xterm", "COLUMNS": "20"}
        | ({} if colour else {"NO_COLOR": "1"}),
    )
    os.close(theirs)
    seen = b""
    while True:
        try:
            block = os.read(own, 65536)
        except OSError:  # Linux ends a pseudo-terminal so
            break
        if not block:
            break
        seen += block
    os.close(own)
    assert process.wait() == 1
    text = seen.decode()
    assert ("\x1b[36m" in text) is colour
    plain = re.sub(r"\x1b\[[\d;]*m", "", text)
    assert f'{bad}:13: the role is "bot"' in plain


def test_json_goes_to_stdout_alone_and_is_as_the_schema_says(bad: Path) -> None:
    done = finegrade("check", bad, TRAIN, bad.parent / "none.jsonl", "--format", "json", expect=1)
    document = json.loads(done.stdout)
    Draft202012Validator(SCHEMA).validate(document)
    assert [file["path"] for file in document["files"]] == [
        str(bad), str(TRAIN), str(bad.parent / "none.jsonl")
    ]  # fmt: skip
    assert document["files"][0]["counts"]["JSL204"] == 8
    assert [f["code"] for f in document["files"][2]["findings"]] == ["JSL001"]
    assert done.stderr == ""


def test_github_gets_ten_annotations_a_kind_over_all_files(bad: Path) -> None:
    out = finegrade("check", bad, bad, "--format", "github", expect=1).stdout
    errors = re.findall(r"^::error file=([^,]*),line=(\d+),title=(\w+)", out, re.M)
    assert len(errors) == 10
    assert (str(bad), "13", "JSL204") in errors
    assert "more of kind error" in out


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("{bad}",), 1),
        (("{warned}",), 0),
        (("{tmp}/none.jsonl",), 1),
        (("{tmp}",), 1),
        (("{warned}", "--kind", "preference"), 1),
        (("{warned}", "--kind", "no-such"), 2),
        (("{warned}", "--against", "{tmp}/none.jsonl"), 2),
        (("{warned}", "--model", "no-one/no-such-model"), 2),
        (("{warned}", "--prices", "{tmp}/none.json"), 2),
        (("{warned}", "--assignment", "no-such"), 2),
        ((), 2),
    ],
)
def test_exit_codes(arguments: tuple[str, ...], code: int, bad: Path, tmp_path: Path) -> None:
    examples = good(20)
    warned = write(tmp_path / "warned.jsonl", *examples, examples[0])
    places = {"bad": bad, "warned": warned, "tmp": tmp_path}
    done = finegrade("check", *(a.format(**places) for a in arguments), expect=code)
    assert "Traceback" not in done.stderr
    assert (done.stdout == "") is (code == 2)
    assert (done.stderr != "") is (code == 2)


def test_an_assignment_asks_for_its_own_number_of_examples(tmp_path: Path) -> None:
    few = write(tmp_path / "few.jsonl", *good(12))
    assert "JSL601" not in finegrade("check", few).stdout
    asked = finegrade("check", few, "--assignment", "llm-methods", expect=1)
    assert "at least 15" in asked.stdout


def test_what_also_stands_in_the_other_file_is_found(tmp_path: Path) -> None:
    lines = TRAIN.read_text().splitlines(keepends=True)
    leaking = tmp_path / "leaking.jsonl"
    leaking.write_text("".join(lines[:20]) + TEST.read_text().splitlines(keepends=True)[3])
    out = finegrade("check", leaking, "--against", TEST).stdout
    assert "JSL605 warning" in out
    assert f"{leaking}:21: " in out


@pytest.mark.parametrize("text", ["", "[{}]", "question,answer\na,b\n", "nonsense\n", "{}\n"])
def test_a_file_that_nothing_can_be_compared_with_is_wrong_usage(text: str, tmp_path: Path) -> None:
    other = tmp_path / "other.jsonl"
    other.write_text(text)
    assert str(other) in finegrade("check", TRAIN, "--against", other, expect=2).stderr


def test_a_rule_that_does_not_exist_is_no_error_of_an_assignment(tmp_path: Path) -> None:
    rubric = resource("rubrics", "llm-methods.yaml").read_text()
    assert "min_examples: 15}" in rubric
    own = tmp_path / "own.yaml"
    for codes, code in (("JSL602", 0), ("JSL999", 2)):
        own.write_text(
            rubric.replace("min_examples: 15}", f"min_examples: 15, errors: [{codes}]}}")
        )
        done = finegrade("check", TRAIN, "--assignment", own, expect=code)
        assert ("JSL999" in done.stderr) is (code == 2)


def test_another_table_prices_another_model(tmp_path: Path) -> None:
    row = {
        "model": "our-model",
        "train_per_m": 1000,
        "valid_from": "2030-01",
        "source": "our offer",
    }
    prices = tmp_path / "prices.json"
    table = {"schema": "finegrade/prices/v1", "currency": "USD", "models": [row]}
    prices.write_text(json.dumps(table))
    done = finegrade("check", TEST, "--model", "our-model", "--prices", prices)
    assert "at our-model (prices of 2030-01" in done.stdout


@pytest.fixture
def hostile(tmp_path: Path) -> Path:
    """A file whose name and every text try to act on whatever shows them."""
    name = "\x1b[31m\n::error::a,b <script>alert(1)</script> \u202e.jsonl".replace("/", "")
    turns = [(HOSTILE, HOSTILE), ("user", HOSTILE), ("assistant", HOSTILE)]
    examples = [chat(*turns), chat(*turns[1:]), {HOSTILE: HOSTILE}, chat(*turns[1:]), HOSTILE]
    path = write(tmp_path / name, *examples)
    path.write_bytes(path.read_bytes() + b"\x1b[31m\xff\xfe ::error::raw\n\r\n")
    return path


@pytest.mark.parametrize("format", ["text", "json", "github"])
def test_what_is_checked_cannot_act(hostile: Path, format: str) -> None:
    code, done = run("check", hostile, "--format", format, "--all")
    said = done.stdout + done.stderr
    assert code == 1
    assert not BEYOND.search(said)
    commands = [line for line in said.splitlines() if line.startswith("::")]
    assert all(re.match(r"::(error|warning|notice) file=[^:]*,", line) for line in commands)
    assert bool(commands) is (format == "github")


@pytest.mark.parametrize(
    "command",
    [
        ("fix", "--out", "{out}"),
        ("split", "--out", "{out}"),
        ("dedupe", "--out", "{out}"),
        ("dedupe", "--near", "--out", "{out}"),
        ("convert", "--to", "qa", "--out", "{out}"),
        ("convert", "--to", "chat", "--out", "{out}"),
        ("stats", "--out", "{out}"),
    ],
)
def test_what_is_worked_on_cannot_act(hostile: Path, command: tuple[str, ...]) -> None:
    out = hostile.parent / f"out{hostile.name}"
    name, *rest = command
    code, done = run(name, hostile, *(word.format(out=out) for word in rest))
    said = done.stdout + done.stderr
    assert code in (0, 2)
    assert not BEYOND.search(said)
    assert not re.search(r"^::", said, re.M)


def test_output_that_cannot_show_a_character_shows_another(tmp_path: Path) -> None:
    odd = write(tmp_path / "odd.jsonl", chat(("長い", "q"), ("assistant", "🙂")))
    done = subprocess.run(
        [sys.executable, "-m", "grader.cli.main", "data", "check", str(odd)],
        capture_output=True,
        env=os.environ | {"PYTHONIOENCODING": "ascii"},
        check=False,
    )
    assert done.returncode == 1, done.stderr
    assert b"JSL204" in done.stdout


def test_fix_says_what_it_mended_and_overwrites_nothing(tmp_path: Path) -> None:
    file = write(tmp_path / "a.jsonl", *good(3))
    file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes() + b"\n")
    out = tmp_path / "fixed.jsonl"
    said = finegrade("fix", file, "--out", out).stdout
    assert said.splitlines()[0] == "4 lines read, 3 written."
    assert f"Written: {out}" in said
    assert out.read_text().count("\n") == 3
    again = finegrade("fix", file, "--out", out, expect=2)
    assert str(out) in again.stderr
    as_json = finegrade("fix", file, "--out", tmp_path / "b.jsonl", "--format", "json")
    assert json.loads(as_json.stdout)["lines_written"] == 3


def test_split_says_what_is_where(tmp_path: Path) -> None:
    out = tmp_path / "parts"
    said = finegrade("split", TRAIN, "--out", out, "--shares", "0.8,0.1,0.1", "--seed", 3).stdout
    assert f"Written: {out}" in said
    for name in ("train", "validation", "test"):
        lines = (out / f"{name}.jsonl").read_text().count("\n")
        assert re.search(rf"{name}\S*: {lines}\b", said)
    as_json = finegrade("split", TRAIN, "--out", tmp_path / "other", "--format", "json").stdout
    assert json.loads(as_json)["out"] == str(tmp_path / "other")


@pytest.mark.parametrize("shares", ["a,b,c", "0.5", "0.9,0.9,0.1", "nan,0.5,0.5", "1e999,0,0"])
def test_shares_that_are_none_are_wrong_usage(tmp_path: Path, shares: str) -> None:
    done = finegrade("split", TRAIN, "--out", tmp_path / "p", "--shares", shares, expect=2)
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "p").exists()


def test_dedupe_says_what_it_dropped(tmp_path: Path) -> None:
    examples = good(5)
    file = write(tmp_path / "a.jsonl", *examples, examples[0], examples[0])
    out = tmp_path / "once.jsonl"
    said = finegrade("dedupe", file, "--out", out).stdout
    assert out.read_text().count("\n") == 5
    assert re.search(r"\b2\b", said)
    as_json = finegrade("dedupe", file, "--out", tmp_path / "b.jsonl", "--format", "json").stdout
    assert json.loads(as_json)["out"] == str(tmp_path / "b.jsonl")


def test_convert_says_what_it_dropped(tmp_path: Path) -> None:
    table = tmp_path / "pairs.csv"
    table.write_text("question,answer,id\nWhat is it?,A bat,1\nAnd this?,A cat,2\n")
    out = tmp_path / "chat.jsonl"
    said = finegrade("convert", table, "--to", "chat", "--system", "Short.", "--out", out).stdout
    assert said.splitlines()[0] == "2 rows converted."
    assert "id" in said
    assert json.loads(out.read_text().splitlines()[0])["messages"][0]["content"] == "Short."


def test_stats_draws_a_page_and_prints_its_numbers(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    said = finegrade("stats", TRAIN, "--out", page).stdout
    assert "406 examples of kind chat" in said
    assert f"Page: {page}" in said
    html = page.read_text()
    assert "<svg viewBox" in html
    assert "mammal" in html
    assert not re.search(r"<(script|link|img)\b|https?://", html)


@pytest.mark.parametrize("out", ["{train}", "{tmp}"])
def test_stats_writes_over_no_data(tmp_path: Path, out: str) -> None:
    train = write(tmp_path / "train.jsonl", *good(3))
    before = train.read_bytes()
    finegrade("stats", train, "--out", out.format(train=train, tmp=tmp_path), expect=2)
    assert train.read_bytes() == before


@pytest.mark.parametrize("command", ["check", "fix", "split", "dedupe", "convert", "stats"])
def test_help_teaches_by_an_example(command: str) -> None:
    said = " ".join(finegrade(command, "--help").stdout.split())
    assert f"Example: finegrade data {command} " in said


def test_checking_imports_nothing_heavy(tmp_path: Path) -> None:
    file = write(tmp_path / "a.jsonl", *good(20))
    code = (
        f"import sys; sys.argv = ['finegrade', 'data', 'check', {str(file)!r}]\n"
        "from grader.cli.main import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'transformers', 'scipy', 'matplotlib', 'jsonschema', 'jinja2', 'rich',\n"
        "         'litellm', 'datasketch', 'yaml', 'PIL'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip().endswith("[]")


def test_standard_input_is_refused_in_words() -> None:
    done = finegrade("check", "-", expect=2)
    assert "Standard input is not read" in done.stderr
