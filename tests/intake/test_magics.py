"""Cells as Python: what is IPython's goes, and not a character of what is Python's."""

from __future__ import annotations

import ast
import random
import sysconfig
import tokenize
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from grader.core.constants import SOURCE_MAX_BYTES
from grader.intake.magics import RemovedMagic, plain_python

_PYTHON = sorted(Path(sysconfig.get_paths()["stdlib"]).glob("*.py"))
_INSTEAD = "pass  # magic"


def python(source: str) -> str:
    return "\n".join(plain_python(source)[0])


@pytest.mark.parametrize("path", random.Random(0).sample(_PYTHON, 24), ids=lambda path: path.name)
def test_leaves_real_programs_alone(path: Path) -> None:
    source = path.read_text(encoding="utf-8")
    assert plain_python(source) == (source.split("\n"), [])


@pytest.mark.parametrize(
    "source",
    [
        'text = """\n%matplotlib inline\n!pip install x\nobj?\n"""',
        "text = '''a\n%%bash\n'''\nx = 1",
        "rest = (total\n% 7)",
        "rest = total \\\n% 7",
        "call(a,\n  b\n!= c)",
        "x = y % 2",
        "x = 'a' 'b!'\nok = x != '!ls'",
        "x = '= !ls'",
        "f = f'{x=!r}'",
        "f(x=1) != 2",
        "# %cd\n#!ls\n# what?",
        "answer = 'why?'  # obj?",
        "if x:\n    y = 1\nelse:\n    y = 2",
        "a = {\n'k':\n%s\n}",
        "plot();",
        "def f(:\n  '",
        "x = 'open\ny = (1",
    ],
)
def test_leaves_alone_what_only_looks_like_magic(source: str) -> None:
    assert plain_python(source) == (source.split("\n"), [])


@pytest.mark.parametrize(
    ("source", "expected", "harmless"),
    [
        ("%matplotlib inline", _INSTEAD, True),
        ("%load_ext autoreload\n%autoreload 2", f"{_INSTEAD}\n{_INSTEAD}", True),
        ("!pip install -q 'dspy>=3' | tail -1", _INSTEAD, True),
        ("!python -m pip install x", _INSTEAD, True),
        ("!pip install x && python train.py", _INSTEAD, False),
        ("!piper run", _INSTEAD, False),
        ("!nvidia-smi", _INSTEAD, True),
        ("!python train.py", _INSTEAD, False),
        ("!!cat data.jsonl", _INSTEAD, False),
        ("%cd project", _INSTEAD, False),
        ("%run other.py", _INSTEAD, False),
        ("%env KEY=1", _INSTEAD, False),
        ("%timeit f()", _INSTEAD, False),
        ("model?", _INSTEAD, True),
        ("model.fit??", _INSTEAD, True),
        ("?model", _INSTEAD, True),
        ("??model.fit", _INSTEAD, True),
        ("if x:\n    !python train.py\ny = 1", f"if x:\n    {_INSTEAD}\ny = 1", False),
        ("!python train.py \\\n  --epochs 3\ny = 1", f"{_INSTEAD}\n\ny = 1", False),
        ("files = !ls data", _INSTEAD, False),
        ("!echo it's\ny = 1", f"{_INSTEAD}\ny = 1", False),
        ("files = !echo it's (\ny = 1", f"{_INSTEAD}\ny = 1", False),
        ("here = %pwd", _INSTEAD, False),
        ("total: int = !wc -l x", _INSTEAD, False),
        ("%%bash\necho hi\necho 'you", "\n\n", False),
        ("\n\n%%html\n<b>it's</b>", "\n\n\n", True),
        ("%%writefile train.py\nx = 1", "\n", False),
        ("%%time\nx = 1", "\nx = 1", True),
        ("%%capture --no-stderr\nx = 1", "\nx = 1", True),
        ("%%capture --no-stderr said\nx = 1", "\nx = 1", False),
    ],
)
def test_takes_out_what_is_magic(source: str, expected: str, harmless: bool) -> None:
    lines, dropped = plain_python(source)
    assert "\n".join(lines) == expected
    assert [one.harmless for one in dropped] == [harmless] * len(dropped)
    assert dropped


def test_keeps_what_is_timed() -> None:
    assert python("%time model.fit(x)") == "model.fit(x)"
    assert python("for x in y:\n    %time f(x)") == "for x in y:\n    f(x)"
    assert python("out = %time f(x)").split() == ["out", "=", "f(x)"]
    assert python("x = 1\nout = %time %time f(x)\ny = 2") == "x = 1\nout = f(x)\ny = 2"
    assert python("out = %time a \\\n  % b\n%cd c") == f"out = a \\\n  % b\n{_INSTEAD}"
    assert python("%time !ls") == _INSTEAD
    assert python("%time") == python("%time  ") == python("%time %time") == _INSTEAD
    assert python("out = %time !ls") == _INSTEAD
    assert python("%timeit f(x)") == _INSTEAD
    assert python("%%time\n%%capture\nx = 1") == "\n\nx = 1"


@pytest.mark.parametrize("repeated", ["%time ", "x = %time ", "x = %time\\\n", "x = "])
def test_no_place_is_read_twice(repeated: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As often as a cell may hold it: a line that is read anew for each would take an hour."""
    source = repeated * (SOURCE_MAX_BYTES // len(repeated))
    tokens, left = tokenize.generate_tokens, 2 * len(source)

    def counted(readline: Callable[[], str]) -> Iterator[tokenize.TokenInfo]:
        def line() -> str:
            nonlocal left
            read = readline()
            left -= len(read)
            assert left >= 0
            return read

        return tokens(line)

    monkeypatch.setattr(tokenize, "generate_tokens", counted)
    assert len(python(source).split("\n")) == len(source.split("\n"))


def test_unindents_a_cell_as_a_whole() -> None:
    assert python("  if x:\n    y = 1\n  %cd z") == f"if x:\n  y = 1\n{_INSTEAD}"


def test_names_what_it_took_out_and_where() -> None:
    _, dropped = plain_python("x = 1\n\n!python a.py \\\n  --b\n%cd c")
    assert dropped == [RemovedMagic(3, "!python a.py --b", False), RemovedMagic(5, "%cd c", False)]


def test_a_hostile_line_is_shown_safely() -> None:
    _, dropped = plain_python("!\x1b[2J\u202e" + "x" * 10_000)
    assert len(dropped[0].text) <= 120
    assert dropped[0].text.isprintable()


_PIECES = st.sampled_from(
    [
        *(
            "x = 1",
            "x = ",
            "!ls",
            "%time ",
            "%cd a",
            "%%bash",
            "%%time",
            "obj?",
            "(",
            ")",
            "[",
            "]",
        ),
        *("{", "}", '"""', "'''", "'", '"', "\\", "\n", "\n", "\n    ", "if x:", "f'{x", "=", "#"),
        *(
            "!r}'",
            "%",
            "!",
            "?",
            " ",
            "\t",
            "\x0c",
            "é",
            "\u2028",
            "def f():",
            "return",
            "$",
            "0777",
        ),
    ]
)


@settings(deadline=None)
@given(st.lists(_PIECES, max_size=40).map("".join) | st.text(max_size=60))
def test_keeps_the_number_of_lines_whatever_comes(source: str) -> None:
    lines, dropped = plain_python(source)
    assert len(lines) == len(source.split("\n"))
    assert all("\n" not in line for line in lines)
    assert all(1 <= one.line <= len(lines) for one in dropped)


_STATEMENTS = st.sampled_from(
    [
        *("x = 1", "y = (1,\n     2)", 't = """a\n!ls\n%cd\n"""', "z = 3 % 2", "w = 1 != 2"),
        *("for i in x:\n    print(i)", "s = 'a' \\\n    'b'", "# !ls", "f = f'{1 % 2}'", ""),
    ]
)
_MAGICS = st.sampled_from(
    ["%matplotlib inline", "!ls 'data", "obj?", 'q = !ls "', "!run \\\n  --x ((", "?print"]
)


@settings(deadline=None)
@given(st.lists(st.tuples(st.booleans(), _STATEMENTS, _MAGICS), max_size=12))
def test_finds_every_magic_between_statements_and_nothing_else(
    parts: list[tuple[bool, str, str]],
) -> None:
    source = "\n".join(magic if is_magic else code for is_magic, code, magic in parts)
    lines, dropped = plain_python(source)
    ast.parse("\n".join(lines))
    assert len(dropped) == sum(is_magic for is_magic, _, _ in parts)
    without = [code for is_magic, code, _ in parts if not is_magic and code]
    assert "\n".join(line for line in lines if line not in (_INSTEAD, "")) == "\n".join(without)
