"""Tokens of texts are those of the whole vocabulary, and nothing ever asks a network for them."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import pytest
import tiktoken
from hypothesis import given, settings
from hypothesis import strategies as st

from grader.core.errors import UsageError
from grader.core.files import resource
from grader.training_data import encodings
from grader.training_data.encodings import text_counter

MODELS = {"gpt-4o-mini": "o200k_base", "gpt-3.5-turbo": "cl100k_base"}
WORDS = st.sampled_from(
    [
        *["the", " The", "ing", " Überraschung", "don't", "I'LL", "  ", "\r\n", " \n", "日本語"],
        *["<|endoftext|>", "٣٤٥", "2026", "é", "e\u0301", "🧑‍🏫", "==", "/*", "\u00a0", "\x1f "],
        *["'\u017f", "\ud83d"],
    ]
)
TEXTS = st.lists(WORDS | st.text(st.characters()), max_size=30).map("".join)


@pytest.fixture(scope="module")
def whole() -> Callable[[str, str], int]:
    """What tiktoken itself counts for a model, with the files in litellm's package."""
    package = find_spec("litellm")
    assert package
    assert package.submodule_search_locations
    folder = Path(package.submodule_search_locations[0], "litellm_core_utils", "tokenizers")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TIKTOKEN_CACHE_DIR", str(folder))
        known = {model: tiktoken.get_encoding(name) for model, name in MODELS.items()}
    return lambda model, text: len(known[model].encode_ordinary(text))


@pytest.fixture
def fresh() -> Iterator[None]:
    """No encoding is remembered, neither from before this test nor after it."""
    encodings._source.cache_clear()
    yield
    encodings._source.cache_clear()


@pytest.mark.parametrize("model", MODELS)
def test_a_part_of_the_vocabulary_counts_as_the_whole(
    model: str, whole: Callable[[str, str], int]
) -> None:
    @settings(max_examples=40, deadline=None)  # each makes its own vocabulary, in 50 ms
    @given(st.lists(TEXTS, max_size=4))
    def check(texts: list[str]) -> None:
        counter = text_counter(model, texts)
        assert not counter.estimated
        assert [counter.count(text) for text in texts] == [whole(model, text) for text in texts]

    check()


@pytest.mark.parametrize("model", MODELS)
def test_the_whole_vocabulary_counts_as_tiktoken(
    model: str, whole: Callable[[str, str], int]
) -> None:
    count = text_counter(model).count

    @given(TEXTS)
    def check(text: str) -> None:
        assert count(text) == whole(model, text)

    check()
    assert count("hello world") == 2


def test_a_text_that_was_not_announced_is_counted_right(
    whole: Callable[[str, str], int],
) -> None:
    text = "Photosynthesis turns light into sugar."
    count = text_counter("gpt-4o-mini", ["the"]).count
    assert count(text) == whole("gpt-4o-mini", text)


def test_much_text_is_counted_right(whole: Callable[[str, str], int]) -> None:
    text = "Where does it rain in March? " * 5000
    assert text_counter("gpt-4o-mini", [text]).count(text) == whole("gpt-4o-mini", text)


@settings(deadline=None)  # the first one loads the vocabularies
@given(st.lists(st.sampled_from(["word", " word", "  ", "\n", ".", " 12"])).map("".join))
def test_cutting_between_words_changes_no_count(text: str) -> None:
    text = " a b".join([text] * 5)
    for model in MODELS:
        count = text_counter(model).count
        expected = count(text)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(encodings, "_PART_CHARACTERS", len(text) // 2 + 2)
            assert count(text) == expected


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("unit", [" ", "a", "\n ", "中"])
def test_endless_runs_are_counted(model: str, unit: str) -> None:
    assert text_counter(model).count(unit * 1_100_000) > 1_000


@pytest.mark.parametrize(
    ("model", "encoding", "estimated"),
    [
        ("gpt-4o", "o200k_base", False),
        ("gpt-4.1-nano-2025-04-14", "o200k_base", False),
        ("ft:gpt-4.1-nano-2025-04-14:school::abcd1234", "o200k_base", False),
        ("ft:gpt-4o-mini-2024-07-18:school:quiz:abcd1234", "o200k_base", False),
        ("ft:gpt-3.5-turbo-0125:school::abcd1234", "cl100k_base", False),
        ("o4-mini-2025-04-16", "o200k_base", False),
        ("gpt-5.4-nano", "o200k_base", False),
        ("gpt-oss-20b", "o200k_base", False),
        ("babbage-002", "cl100k_base", False),
        ("davinci-002", "cl100k_base", False),
        ("gpt-9-new", "o200k_base", True),
        ("ft:", "o200k_base", True),
    ],
)
def test_the_encoding_of_a_model(model: str, encoding: str, estimated: bool) -> None:
    assert encodings._encoding_name(model) == (encoding, estimated)
    assert text_counter(model, ["a"]).estimated is estimated


def test_nothing_is_imported_changed_or_fetched() -> None:
    program = """
import os, socket, sys
def refused(*_): raise AssertionError("a network was asked for")
socket.socket.connect = socket.getaddrinfo = refused
before = dict(os.environ)
from grader.training_data.encodings import text_counter
for model in ("gpt-4o", "gpt-3.5-turbo", "gpt2", "davinci", "text-davinci-003", "course-model"):
    text_counter(model, ["a b"]).count("a b")
print(dict(os.environ) == before, "litellm" in sys.modules, "transformers" in sys.modules)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["True", "False", "False"]


@pytest.mark.usefixtures("fresh")
def test_without_litellm_four_bytes_are_a_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encodings, "find_spec", lambda name: None)
    counter = text_counter("gpt-4o-mini", ["12345"])
    assert counter.estimated
    texts = ("", "1234", "12345", "éé", "\ud83d")
    assert [counter.count(text) for text in texts] == [0, 1, 2, 1, 1]


@pytest.mark.usefixtures("fresh")
@pytest.mark.parametrize("content", [None, b"YQ== 0\n"])
def test_a_missing_or_changed_vocabulary_is_not_used(
    content: bytes | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "litellm_core_utils" / "tokenizers"
    folder.mkdir(parents=True)
    if content is not None:
        (folder / "fb374d419588a4632f3f557e76b4b70aebbca790").write_bytes(content)
    package = SimpleNamespace(submodule_search_locations=[str(tmp_path)])
    monkeypatch.setattr(encodings, "find_spec", lambda name: package)
    assert text_counter("gpt-4o-mini").estimated


@pytest.mark.usefixtures("fresh")
def test_another_tiktoken_is_no_crash(monkeypatch: pytest.MonkeyPatch) -> None:
    constructors = "tiktoken_ext.openai_public.ENCODING_CONSTRUCTORS"
    monkeypatch.setattr(constructors, {"o200k_base": dict})
    assert text_counter("gpt-4o-mini", ["a"]).estimated


def test_a_model_on_this_machine_has_its_own_tokenizer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = resource("starter", "course-model", "tokenizer.json")
    counters = [text_counter("course-model"), text_counter(str(file.parent))]
    snapshot = tmp_path / "models--class--base" / "snapshots" / "1"
    snapshot.mkdir(parents=True)
    (snapshot / "tokenizer.json").write_bytes(file.read_bytes())
    (tmp_path / "models--class--base" / "refs").mkdir()
    (tmp_path / "models--class--base" / "refs" / "main").write_text("1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    counters.append(text_counter("class/base"))
    assert {counter.count("What is an atom?<|end|>") for counter in counters} == {
        counters[0].count("What is an atom?") + 1
    }
    assert all(counter.local for counter in counters)


@pytest.mark.parametrize("model", ["nobody/no-such-model", "a/b/c", "./nothing", "../"])
def test_a_tokenizer_that_is_not_here_is_asked_for(model: str) -> None:
    with pytest.raises(UsageError, match=r"not on this machine\. Give .*gpt-4o-mini.*tokenizer"):
        text_counter(model)


def test_a_broken_tokenizer_is_named(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text(json.dumps({"model": 1}))
    with pytest.raises(UsageError, match=r"tokenizer\.json: not a tokenizer"):
        text_counter(str(tmp_path))
