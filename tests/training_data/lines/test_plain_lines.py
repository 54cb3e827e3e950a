"""The fast way may only pass what the rules pass."""

import json
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from grader.training_data.lines.chat import chat_faults
from grader.training_data.lines.line_checks import odd_finder
from grader.training_data.read.lines import LineError, decode

TEXTS = st.sampled_from(["hi", "role", "content", "messages", "", " ", '"role"', "é", "\0", "a\nb"])
MESSAGES = st.fixed_dictionaries(
    {"role": st.sampled_from(["system", "user", "assistant", "assistant", "tool"])},
    optional={"content": TEXTS | st.none(), "weight": st.just(1), "name": TEXTS},
)
EXAMPLES = st.fixed_dictionaries(
    {"messages": st.lists(MESSAGES, max_size=4)}, optional={"id": st.integers()}
)
WRITERS = [json.dumps, lambda v: json.dumps(v, ensure_ascii=False, separators=(",", ":"))]
EDITS = [
    lambda raw: raw,
    lambda raw: raw.replace('"role"', '"role": "user", "role"', 1),
    lambda raw: raw.replace('"role"', '"role": "user", "r\\u006fle"', 1),
    lambda raw: raw.replace('"content"', '"content":"x","content" ', 1),
    lambda raw: raw.replace("{", '{"messages": [], ', 1),
    lambda raw: raw.replace("hi", "\\u0000", 1),
    lambda raw: raw + "\r",
    lambda raw: raw + " " + raw,
]
LINES = st.builds(
    lambda value, write, edit: edit(write(value)).encode(),
    EXAMPLES,
    st.sampled_from(WRITERS),
    st.sampled_from(EDITS),
)
PLAIN = {"messages": [{"role": r, "content": "x"} for r in ("system", "user", "assistant")]}


def _faultless(raw: bytes) -> bool:
    try:
        value: Any = decode(raw)
    except LineError:
        return False
    return isinstance(value, dict) and not any(chat_faults(value)) and not raw.endswith(b"\r")


@given(st.lists(LINES | st.binary(max_size=20), max_size=6))
@example([json.dumps(PLAIN).encode()] * 2)
def test_a_line_that_is_called_plain_has_no_fault(lines: list[bytes]) -> None:
    odd = list(odd_finder()(lines))
    assert odd == sorted(set(odd))
    assert all(_faultless(raw) for i, raw in enumerate(lines) if i not in odd)


def test_ordinary_lines_take_the_fast_way_whatever_stands_beside_them() -> None:
    plain = json.dumps(PLAIN).encode()
    accents = plain.replace(b'"x"', b'"caf\\u00e9"')
    twice = plain.replace(b'"role"', b'"role": "user", "role"', 1)
    lines = [plain, b"{}", accents, twice, plain, b"", plain]
    assert list(odd_finder()(lines)) == [1, 3, 5]
