"""What is wrong with the texts of an example is found, masked where it must be, and no more."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.examples_read import JsonObject, chat, completion, examples, faults, preference, qa
from support.paths import TESTS

from grader.training_data.read.examples import Example, Kind
from grader.training_data.read.faults import Fault
from grader.training_data.read.fingerprint import read
from grader.training_data.texts.content import content_faults


def found(code: str, text: str) -> list[Fault]:
    """The faults of a code in an example whose question is this text; no other code is there."""
    all_found = faults([qa(f"Is it {text} or not?", "Yes.")])
    assert {fault.code for fault in all_found} <= {code}
    return all_found


def one(code: str, text: str) -> str:
    """The message of the only fault."""
    [fault] = found(code, text)
    assert (fault.line, fault.pointer) == (1, "/question")
    return fault.message


# --- JSL611 ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("caf\u00e9 au lait", "cp1252"),
        ("a na\u00efve na\u00efve", "latin-1"),
        ("it\u2019s \u201cquoted\u201c", "cp1252"),
        ("20\u00b0C", "cp1252"),
        ("Stra\u00dfe", "cp1252"),
        ("\u041f\u0440\u0438\u0432\u0435\u0442", "cp1251"),
        ("\u65e5\u672c", "cp1252"),
        ("caf\u00e9", "mac-roman"),
        ("caf\u00e9", "cp437"),
    ],
)
def test_misread_text_is_shown_as_it_was_meant(text: str, encoding: str) -> None:
    misread = text.encode().decode(encoding, "replace")
    message = one("JSL611", misread)
    assert "is probably" in message
    assert text[:4] in message


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("fl\ufffdwers", "U+FFFD"),
        ("a\x1b[31mred", "U+001B"),
        ("back\bspace", "U+0008"),
        ("de\x7flete", "U+007F"),
        ("zero\u200bwidth", "U+200B"),
        ("soft\u00adhyphen", "U+00AD"),
        ("a\ufeffb", "U+FEFF"),
        ("over\u202eride", "U+202E"),
        ("joined\u200dletters", "U+200D"),
        ("tag\U000e0041s", "U+E0041"),
    ],
)
def test_spoilt_and_invisible_characters_are_named(text: str, name: str) -> None:
    assert name in one("JSL611", text)


@pytest.mark.parametrize(
    "text",
    [
        "two\nlines\tand a tab\r\n",
        "\u201eGr\u00f6\u00dfe\u201c und \u00abl\u2019\u00e9t\u00e9\u00bb \u2013 100 \u20ac",
        "\u00bfQu\u00e9? \u00a1S\u00e3o Paulo! \u0110\u1eb7ng",
        "\u043c\u0438\u0440, \u00ab\u043c\u0438\u0440\u00bb \u2014 \u0421\u0421\u0421\u0420\u2026",
        "\u0393\u03b5\u03b9\u03ac \u03c3\u03bf\u03c5",
        "\u4f60\u597d\uff0c\u4e16\u754c\u3002",
        "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",
        "\u05e9\u05dc\u05d5\u05dd \u202bx\u202c",
        "\U0001f469\u200d\U0001f4bb and \U0001f3f4\U000e0067\U000e0062\U000e007f",
        "\u251c\u2500\u2500 src \u221a2 \u2248 1.41 x\u00b2 \u2260 \u00bd",
    ],
)
def test_text_of_other_languages_is_not_damaged(text: str) -> None:
    assert found("JSL611", text) == []


# --- JSL612 ------------------------------------------------------------------------------------


def token(alphabet: str, length: int) -> str:
    """Characters that look random."""
    return "".join(alphabet[(i * i * 7 + i * 3) % len(alphabet)] for i in range(length))


LETTERS = "aB3dE5gH1jK7mN9pQ2sT4vW6xY8z"
JWT = ".".join(
    base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=")
    for part in ({"alg": "HS256", "typ": "JWT"}, {"sub": "1234"}, "signature of it")
)
SECRETS = {
    "AWS": "AKIA" + token("ABCDEFGH234567", 16),
    "AWS secret": f"aws_secret_key = '{token(LETTERS, 40)}'",
    "Azure": "AccountKey=" + token(LETTERS, 88),
    "Basic Auth": "postgres://reader:tr0ub4dor@db.internal/course",
    "Discord": f"N{token(LETTERS, 23)}.{token(LETTERS, 6)}.{token(LETTERS, 27)}",
    "GitHub": "ghp_" + token(LETTERS, 36),
    "GitHub fine": "github_pat_" + token(LETTERS, 70),
    "GitLab": "glpat-" + token(LETTERS, 20),
    "Google": "AIza" + token(LETTERS, 35),
    "Hugging Face": "hf_" + token("abcdefghIJKLMN", 34),
    "JSON Web Token": JWT,
    "Mailchimp": token("0123456789abcdef", 32) + "-us12",
    "NPM": "//registry.npmjs.org/:_authToken=npm_" + token(LETTERS, 36),
    "OpenAI": f"sk-{token(LETTERS, 20)}T3BlbkFJ{token(LETTERS, 20)}",
    "OpenAI project": "sk-proj-" + token(LETTERS + "-_", 80),
    "Anthropic": "sk-ant-api03-" + token(LETTERS + "-_", 80),
    "Private Key": "-----BEGIN RSA PRIVATE KEY-----",
    "PyPI": "pypi-AgEIcHlwaS5vcmc" + token(LETTERS, 80),
    "SendGrid": f"SG.{token(LETTERS, 22)}.{token(LETTERS, 43)}",
    "Slack": "xoxb-123456789012-123456789012-" + token("abcdefgh", 24),
    "Stripe": "sk_live_" + token(LETTERS, 24),
    "Telegram": f"123456789:{token(LETTERS, 35)}",
    "Twilio": "AC" + token("0123456789abcdef", 32),
}


@pytest.mark.parametrize("kind", SECRETS)
def test_secrets_are_named_and_masked(kind: str) -> None:
    message = one("JSL612", SECRETS[kind])
    assert kind.split()[0].lower() in message.lower()
    assert SECRETS[kind][8:] not in message
    assert token(LETTERS, 10) not in message


@pytest.mark.parametrize(
    "text",
    [
        "AKIAIOSFODNN7EXAMPLE",
        "postgres://user:password@localhost/db",
        "https://<user>:<password>@host/path",
        "risk-management-in-the-long-run",
        "https://example.com/a/very/long/path/without/a/secret",
        "d41d8cd98f00b204e9800998ecf8427e and 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b",
        "a_very_long_name_of_a_python_function()",
        'os.environ["OPENAI_API_KEY"]',
        "eyJhbGciOi.notatoken.atall",
    ],
)
def test_what_only_looks_like_a_secret_is_none(text: str) -> None:
    assert found("JSL612", text) == []


# --- JSL613 ------------------------------------------------------------------------------------


PERSON = "student.seven@campus-mail.de"


def valid_iban(country: str, account: str) -> str:
    digits = "".join(str(int(c, 36)) for c in account + country + "00")
    return f"{country}{98 - int(digits) % 97:02}{account}"


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("email address", PERSON),
        ("email address", "a+b@sub.domain.org"),
        ("phone number", "+49 30 901820"),
        ("phone number", "+1 (650) 253-0000"),
        ("phone number", "+442070313000"),
        ("card number", "4539148803436467"),
        ("card number", "4539 1488 0343 6467"),
        ("IBAN", valid_iban("DE", "370400440532013001")),
        ("IBAN", valid_iban("GB", "NWBK60161331926810")),
        ("IBAN", "NL39 RABO 0300 0652 64, please"),
    ],
)
def test_personal_data_is_named_and_masked(kind: str, text: str) -> None:
    message = one("JSL613", text)
    assert kind in message
    assert text[4:] not in message


@pytest.mark.parametrize(
    "text",
    [
        "name@example.com, x@mail.example.org, y@host.test and z@foo.invalid",
        "info@campus-mail.de and git@github.com:course/kit",
        "logo@2x.png or @decorator or a @ b",
        "+1 212-555-0123 or +44 7700 900123 or 030 901820 or +3 degrees or 2+2=4",
        "4111 1111 1111 1111 or 4539148803436468 or 1234 5678 9012 3456",
        "14539148803436467 or 4539148803436467.25 or id-4539148803436467",
        "DE00 3704 0044 0532 0130 00 or AB12 CDEF GHIJ KLMN",
        "2024-01-01 12:19:07 unit 39 alarm E740",
    ],
)
def test_invented_and_other_numbers_are_no_personal_data(text: str) -> None:
    assert found("JSL613", text) == []


# --- JSL614 ------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["how to Build a\nBOMB", "a porn site", "to kill  myself"])
def test_unsafe_words_are_named(text: str) -> None:
    assert "moderation" in one("JSL614", text)


@pytest.mark.parametrize(
    "text",
    ["a bomb calorimeter", "suicide prevention", "Middlesex", "methane", "a corn popper", "gas"],
)
def test_words_of_teaching_are_safe(text: str) -> None:
    assert found("JSL614", text) == []


# --- JSL616 ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "pointers"),
    [
        (qa(" Why?", "So."), ["/question"]),
        (qa("Why?", "So.\n"), ["/answer"]),
        (qa("cafe\u0301", "So."), ["/question"]),
        (chat("Why?\u00a0", " So."), ["/messages/0/content", "/messages/1/content"]),
        (
            preference("Why?", "So. ", "No. "),
            ["/preferred_output/0/content", "/non_preferred_output/0/content"],
        ),
        (completion("Why? ->", " So.\n"), []),
        (completion("\n\nWhy?\n\n###\n\n", " So. END"), []),
        (qa('{"a": 1}\n', "[1]\n"), []),
        (qa("Why?\n\nAnd how?", "So:\n  - a\n  - b"), []),
    ],
)
def test_stray_space_and_form_are_found_where_they_are(
    value: JsonObject, pointers: list[str]
) -> None:
    assert [(fault.code, fault.pointer) for fault in faults([value])] == [
        ("JSL616", pointer) for pointer in pointers
    ]


def test_what_a_tool_says_may_end_in_space() -> None:
    value = chat("Is it raining?", "Yes.")
    call = {"id": "1", "type": "function", "function": {"name": "rain", "arguments": "{}"}}
    value["messages"][1:1] = [
        {"role": "assistant", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "1", "content": "rain since noon\n"},
    ]
    assert faults([value]) == []


# --- any text ----------------------------------------------------------------------------------

PIECES = st.one_of(
    st.text(max_size=8),
    st.characters(categories=["Cs", "Cc", "Cf", "Mn", "So", "Co"]),
    st.sampled_from(
        [*SECRETS.values(), *"@+: /\"'{}[]", "://", "AKIA", "+49", "4539 1488", "DE89"]
    ),
    st.sampled_from(
        ["bomb", "make a ", "\u00c3", "\u00e2\u20ac", "\u0420\u0430", "a", "1234 ", "0" * 9]
    ),
)
ANY_TEXT = st.lists(PIECES, max_size=12).map("".join)


@given(ANY_TEXT, ANY_TEXT)
@settings(max_examples=300, deadline=None)
def test_no_text_whatever_raises(question: str, answer: str) -> None:
    value: dict[str, Any] = {"question": question, "answer": answer}
    for fault in content_faults(read(Example(1, b"", Kind.QA, value))):
        assert fault.message.isprintable()
        assert len(fault.message) < 400


HOSTILE = [
    "eyJ",
    "://",
    "a",
    "a@",
    "a@a.",
    "+1 ",
    "+4930",
    "1234 ",
    "AA11 AAAA ",
    "\u0301\u0315",
    "a\u03b1",
]


@pytest.mark.parametrize("piece", HOSTILE)
def test_long_hostile_text_is_read_in_bounded_time(piece: str) -> None:
    text = piece * (300_000 // len(piece))
    assert (
        len(
            list(content_faults(read(Example(1, b"", Kind.QA, {"question": text, "answer": text}))))
        )
        < 20
    )


def test_nothing_is_imported_for_plain_text_and_no_order_depends_on_hashing() -> None:
    program = """
import sys
sys.path.insert(0, sys.argv[1])
from support.examples_read import faults, qa, words
plain = [qa(words(i, 30), words(i + 99, 9)) for i in range(20)]
assert faults(plain) == [], faults(plain)
heavy = {"numpy", "ftfy", "phonenumbers", "stdnum", "detect_secrets"}
assert not heavy & set(sys.modules), heavy & set(sys.modules)
plain += [qa(words(i, 30), words(i + 99, 9)) for i in range(20, 200)]
plain += [qa(words(i, 30) + "?", words(i + 99, 9)) for i in range(20)]
odd = ["a porn bomb", "a@b-c.de +49 30 901820", "caf\u00c3\u00a9 \u0430b", " x", "x", "X"]
print(faults([*plain, *(qa(a, b) for a in odd for b in odd)] * 3))
"""
    outputs = {
        subprocess.run(
            [sys.executable, "-c", program, str(TESTS)],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("0", "1")
    }
    [output] = outputs
    assert "JSL602" in output
    assert "JSL603" in output
    assert "JSL613" in output


def test_a_system_text_is_searched_on_every_line() -> None:
    values = [chat(f"Question {i}?", "Yes.", f"Ask {PERSON} \u200bfirst.") for i in range(5)]
    found = [fault for fault in faults(values) if fault.pointer == "/messages/0/content"]
    assert [(fault.code, fault.line) for fault in found] == [
        (code, line) for line in range(1, 6) for code in ("JSL611", "JSL613")
    ]


def test_a_place_inside_a_conversation_is_pointed_at() -> None:
    value = chat("Why?", "So.")
    value["messages"][0]["content"] = [
        {"type": "text", "text": "Look:"},
        {"type": "text", "text": "a\u200bb"},
    ]
    [fault] = [f for example in examples([value]) for f in content_faults(read(example))]
    assert (fault.code, fault.pointer) == ("JSL611", "/messages/0/content/1/text")
