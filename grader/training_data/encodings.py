"""Counts the tokens of a text for a model, without a network.

OpenAI's vocabularies come from litellm's package, and tiktoken counts with them. litellm is not
imported (2 s), and tiktoken's loader is not used, because it downloads missing files. A local
model is counted with its own tokenizer.json.
"""

from __future__ import annotations

import hashlib
import os
import re
from binascii import a2b_base64, b2a_base64
from collections.abc import Callable, Collection, Iterator
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import FunctionType
from typing import Final, NamedTuple

from grader.core.constants import COURSE_MODEL
from grader.core.errors import UsageError
from grader.core.files import resource

SMALL_TEXT_BYTES: Final = 64 * 1024  # of so little text only its own tokens are loaded: 0.1 s
_PART_CHARACTERS: Final = 100_000  # of one call; tiktoken panics at about a million spaces in a row
_BYTES_PER_TOKEN: Final = 4  # of English text; the usual rule of thumb
_START_BYTES: Final = 6  # a multiple of 3, so that they are whole characters of base64
_START_CHARACTERS: Final = _START_BYTES // 3 * 4

_UNKNOWN_MODELS: Final = "o200k_base"  # every chat model of OpenAI since 2024
_TOKENIZER_FILE: Final = "tokenizer.json"

# Every encoding's pattern ends a piece between these two, so a cut there changes no count.
_UP_TO_A_WORD = re.compile(r".*\S(?= )", re.DOTALL)


class TextCounter(NamedTuple):
    """`count` gives the tokens of a text; special tokens inside an OpenAI text are plain text.

    `estimated`: this is not known to be the model's own tokenizer. `local`: a tokenizer.json.
    """

    count: Callable[[str], int]
    estimated: bool = False
    local: bool = False


def text_counter(model: str, texts: Collection[str] | None = None) -> TextCounter:
    """Return the token counter for this model.

    `model` is an OpenAI model (also a fine-tuned one, `ft:…`), `course-model`, a folder with a
    tokenizer.json, or a Hugging Face model that this machine has already downloaded. Other names
    count as new OpenAI models, with an estimate.
    `texts` says what will be counted, where that is known: a little text is then counted sooner.
    Any other text is counted as well, but only after the whole vocabulary is loaded.
    Raises UsageError when the tokenizer of a model is not here or cannot be read.
    """
    path = _tokenizer_path(model)
    if path is not None:
        return TextCounter(_local_count(path), local=True)
    name, guessed = _encoding_name(model)
    source = _source(name)
    if source is None:
        return TextCounter(_estimate, estimated=True)
    if texts is None or sum(len(_utf8(text)) for text in texts) > SMALL_TEXT_BYTES:
        return TextCounter(_whole(source), estimated=guessed)
    small = _bpe(source, _starts(texts))
    known = {text: small(text) for text in texts}

    def count(text: str) -> int:
        tokens = known.get(text)
        return _whole(source)(text) if tokens is None else tokens

    return TextCounter(count, estimated=guessed)


def base_of(model: str) -> str:
    """The base of a fine-tuned model, or the name as it is.

    OpenAI's are called `ft:BASE:ORGANISATION:SUFFIX:ID`, Azure's `BASE.ft-ID`.
    """
    if model.startswith("ft:"):
        return model.split(":")[1]
    return model.partition(".ft-")[0]


def _encoding_name(model: str) -> tuple[str, bool]:
    """The name of tiktoken's encoding, and whether it is a guess."""
    from tiktoken.model import encoding_name_for_model

    try:
        # tiktoken gives some fine-tuned models another encoding than their base.
        name = encoding_name_for_model(base_of(model))
    except KeyError:
        return _UNKNOWN_MODELS, True
    return name.replace("o200k_harmony", "o200k_base"), False  # differs in special tokens only


class _EncodingFile(NamedTuple):
    """An encoding's parts: its pattern, and lines of base64 token and rank."""

    pattern: str
    vocabulary: bytes


@cache
def _source(name: str) -> _EncodingFile | None:
    """The encoding of this name, or None when its parts are not here.

    tiktoken's constructors know the pattern, the address and the SHA-256 of the vocabulary, but
    download what they do not find. A copy runs that sees nothing of its module but texts and a
    loader that only records the request, so that nothing can reach the network.
    """
    requested: list[tuple[str, str]] = []

    def load_tiktoken_bpe(url: str, expected_hash: str) -> dict[bytes, int]:
        requested.append((url, expected_hash))
        return {}

    try:
        made = import_module("tiktoken_ext.openai_public").ENCODING_CONSTRUCTORS[name]
        texts = {key: value for key, value in made.__globals__.items() if isinstance(value, str)}
        fields = FunctionType(made.__code__, {**texts, "load_tiktoken_bpe": load_tiktoken_bpe})()
        [(url, sha256)] = requested
        pattern = fields["pat_str"]
    except Exception:  # these are the library's insides: whatever changes there, we estimate
        return None
    vocabulary = _vocabulary(url, sha256)
    return None if vocabulary is None else _EncodingFile(pattern, vocabulary)


def _vocabulary(url: str, sha256: str) -> bytes | None:
    """litellm's copy of the vocabulary at this address, if it is the right one."""
    package = find_spec("litellm")
    if package is None or not package.submodule_search_locations:
        return None
    folder = Path(package.submodule_search_locations[0], "litellm_core_utils", "tokenizers")
    name = hashlib.sha1(url.encode(), usedforsecurity=False).hexdigest()  # as tiktoken's cache
    try:
        data = (folder / name).read_bytes()
    except OSError:
        return None
    return data if hashlib.sha256(data).hexdigest() == sha256 else None


@cache
def _whole(source: _EncodingFile) -> Callable[[str], int]:
    """The counter with the whole vocabulary, kept because it takes 0.2 to 0.4 s to make."""
    return _bpe(source)


def _bpe(source: _EncodingFile, starts: Collection[bytes] | None = None) -> Callable[[str], int]:
    """A counter that knows all tokens, or those that begin with one of `starts` (base64).

    Byte pair encoding looks up nothing but stretches of the text. With the starts of everything
    in a text no token that it could look up is missing, and the counts are exact.
    """
    from tiktoken import Encoding

    words = source.vocabulary.split()
    pairs = zip(words[::2], words[1::2], strict=True)
    ranks = {
        a2b_base64(token): int(rank)
        for token, rank in pairs
        if starts is None or token[:_START_CHARACTERS] in starts
    }
    encoding = Encoding("", pat_str=source.pattern, mergeable_ranks=ranks, special_tokens={})
    encode = encoding.encode_ordinary
    return lambda text: sum(len(encode(part)) for part in _parts(text))


def _starts(texts: Collection[str]) -> set[bytes]:
    """base64 of every stretch of up to 6 bytes of these texts, and of every byte there is."""
    data = _utf8(_valid("\n".join(texts)))
    stretches = {data[at : at + _START_BYTES] for at in range(len(data))}
    for size in range(_START_BYTES - 1, 0, -1):
        stretches |= {stretch[:size] for stretch in stretches}
    stretches |= {bytes([byte]) for byte in range(256)}  # tiktoken needs them all
    return {b2a_base64(stretch, newline=False) for stretch in stretches}


def _parts(text: str) -> Iterator[str]:
    """The text in parts that a tokenizer can take, cut between words.

    A stretch of more than _PART_CHARACTERS without a word's end is cut anyhow, which can add a
    token.
    """
    start = 0
    while len(text) - start > _PART_CHARACTERS:
        word = _UP_TO_A_WORD.match(text, start, start + _PART_CHARACTERS)
        end = word.end() if word else start + _PART_CHARACTERS
        yield text[start:end]
        start = end
    yield text[start:]


def _estimate(text: str) -> int:
    return -(-len(_utf8(text)) // _BYTES_PER_TOKEN)


def _utf8(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _valid(text: str) -> str:
    """The text with a replacement character for each half of a surrogate pair, as tiktoken does."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _tokenizer_path(model: str) -> str | None:
    """The path of the model's tokenizer.json; None for an OpenAI model."""
    if model == COURSE_MODEL:
        return str(resource("starter", COURSE_MODEL, _TOKENIZER_FILE))
    path = os.path.join(model, _TOKENIZER_FILE)
    if os.path.isfile(path):
        return path
    if not re.search(r"[/\\]", model):
        return None
    cached = _downloaded(model)
    if cached is None:
        raise UsageError(
            f"The tokenizer of {model} is not on this machine. Give a model of OpenAI such as "
            f"gpt-4o-mini, or {COURSE_MODEL}, or a model's folder that holds {_TOKENIZER_FILE}."
        )
    return cached


def _downloaded(model: str) -> str | None:
    """The tokenizer.json of a Hugging Face model in this machine's cache, or None."""
    from huggingface_hub import try_to_load_from_cache

    try:
        found = try_to_load_from_cache(model, _TOKENIZER_FILE)
    except ValueError:  # no name of a model at all
        return None
    return found if isinstance(found, str) else None


def _local_count(path: str) -> Callable[[str], int]:
    from tokenizers import Tokenizer

    try:
        tokenizer = Tokenizer.from_file(path)
    except Exception as error:  # the library raises no narrower class
        raise UsageError(f"{path}: not a tokenizer that can be read ({error}).") from None
    tokenizer.no_truncation()
    tokenizer.no_padding()

    def count(text: str) -> int:
        parts = _parts(_valid(text))
        return sum(len(tokenizer.encode(part, add_special_tokens=False)) for part in parts)

    return count
