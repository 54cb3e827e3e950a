"""What a file is, told from its beginning: text at all, lines of JSON, and of which kind."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, Final

from grader.training_data.examples import kind_of
from grader.training_data.faults import Fault, quoted
from grader.training_data.foreign import foreign_form, unknown_form
from grader.training_data.json_lines import LineError, decode
from grader.training_data.kinds import KEYS_OF_KIND, Kind

_SIGNATURES: Final = (
    (b"\xff\xfe", "text in UTF-16"),
    (b"\xfe\xff", "text in UTF-16"),
    (b"\x1f\x8b", "compressed with gzip"),
    (b"BZh", "compressed with bzip2"),
    (b"\xfd7zXZ\x00", "compressed with xz"),
    (b"\x28\xb5\x2f\xfd", "compressed with zstd"),
    (b"PK\x03\x04", "a zip archive, or an Excel workbook"),
    (b"PAR1", "a Parquet file"),
    (b"%PDF-", "a PDF"),
    (b"SQLite format 3\x00", "an SQLite database"),
    (b"\xd0\xcf\x11\xe0", "an old Excel or Word file"),
)
_WHOLE_OBJECT_BEGINS: Final = re.compile(rb'\s*\{\s*(?:"(?:[^"\\]|\\.)*"\s*:\s*[\[{]?\s*)?$')
_CONTINUES: Final = re.compile(rb'\s+["\]}\[{]')
_HINTING_KEYS: Final = {
    Kind.PREFERENCE: ("preferred_completion", "non_preferred_completion"),
}
_BEGINNING_BYTES: Final = 1024  # binary formats have a zero byte in them
_KIND_LINES: Final = 100  # of a file are enough to tell its kind


def wrong_format(head: Sequence[bytes]) -> Fault | None:
    """The fault of a file that is no JSONL at all, by its first lines (without BOM); else None."""
    start = head[0] if head else b""
    for signature, words in _SIGNATURES:
        if start.startswith(signature):
            return Fault("JSL006", f"the file is {words}; expected UTF-8 text")
    if start.count(b"\0") * 3 > len(start):
        return Fault("JSL006", "every other byte is zero, as in UTF-16; expected UTF-8 text")
    lines = [line for line in head if line.strip()]
    if not lines:
        return None
    beginning = b"\n".join(head)[:_BEGINNING_BYTES]
    if b"\0" in beginning and lines[0].lstrip()[:1] not in (b"{", b"["):
        return Fault("JSL006", "the file holds binary data; expected UTF-8 text")
    return _array(lines) or _spread_object(lines) or _table(lines)


def told_kind(values: Iterable[Any]) -> tuple[Kind | None, str]:
    """The kind that most of these objects are, and why; None when no key says anything."""
    whole: Counter[Kind] = Counter()
    partly: Counter[Kind] = Counter()
    keys: dict[Kind, str] = {}
    foreign: Counter[str] = Counter()
    unknown: str | None = None
    for value in values:
        if (form := foreign_form(value)) is not None:
            foreign[form] += 1
        elif unknown is None:
            unknown = unknown_form(value)
        if (kind := kind_of(value)) is not None:
            whole[kind] += 1
        for kind in _hinted(value):
            partly[kind] += 1
            keys.setdefault(kind, next(k for k in _all_keys(kind) if k in value))
    if whole:
        kind = max(whole, key=lambda k: whole[k])
        names = " and ".join(f'"{key}"' for key in KEYS_OF_KIND[kind])
        return kind, f"its examples have {names}"
    if foreign:
        return None, f"the examples are of {max(foreign, key=lambda name: foreign[name])}"
    if len(partly) == 1:
        (kind,) = partly
        return kind, f'its examples have "{keys[kind]}"'
    found = f"; {unknown}" if unknown else ""
    return None, f"no example has the keys of a known kind{found}"


def decoded_head(head: Iterable[bytes]) -> list[dict[str, Any]]:
    """The objects among the first lines, without those that are not valid."""
    found: list[dict[str, Any]] = []
    for raw in head:
        try:
            value = decode(raw)
        except LineError:
            continue
        if isinstance(value, dict):
            found.append(value)
        if len(found) == _KIND_LINES:
            break
    return found


def _hinted(value: dict[str, Any]) -> list[Kind]:
    return [kind for kind in Kind if any(key in value for key in _all_keys(kind))]


def _all_keys(kind: Kind) -> tuple[str, ...]:
    return KEYS_OF_KIND[kind] + _HINTING_KEYS.get(kind, ())


def _array(lines: Sequence[bytes]) -> Fault | None:
    first = lines[0].strip()
    if not first.startswith(b"["):
        return None
    if first == b"[" or (len(lines) > 1 and first[-1:] in b"[{,"):
        return Fault("JSL007", "the file is one JSON array; expected one object a line", 1)
    try:
        value = decode(first)
    except LineError:
        cut = len(lines) == 1  # an array longer than what was looked at
        return Fault("JSL007", "the file begins as one JSON array", 1) if cut else None
    if len(lines) == 1 and isinstance(value, list) and any(isinstance(v, dict) for v in value):
        found = f"the file is one JSON array of {len(value)}; expected one object a line"
        return Fault("JSL007", found, 1)
    return None


def _spread_object(lines: Sequence[bytes]) -> Fault | None:
    if len(lines) < 2 or not _WHOLE_OBJECT_BEGINS.match(lines[0]):
        return None
    if _CONTINUES.match(lines[1]) or lines[0].strip() == b"{":
        found = "an object is spread over several lines; expected one object a line"
        return Fault("JSL007", found, 1)
    return None


def _table(lines: Sequence[bytes]) -> Fault | None:
    """A header and rows with the same number of cells, none of which looks like JSON."""
    text = [line.decode("utf-8", "replace").rstrip("\r") for line in lines[:5]]
    if text[0].lstrip()[:1] in ("{", "[", ""):
        return None
    for separator, words in ((",", "commas"), ("\t", "tabs"), (";", "semicolons")):
        try:
            rows = list(csv.reader(text, delimiter=separator))
        except csv.Error:
            continue
        header = rows[0]
        named = all(re.fullmatch(r"[A-Za-z_][\w .-]{0,40}", cell.strip()) for cell in header)
        if len(header) > 1 and named and all(len(row) == len(header) for row in rows[:2]):
            found = f"the first line is {quoted(text[0])}: a table separated by {words}"
            return Fault("JSL008", found, 1)
    return None
