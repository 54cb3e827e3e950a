"""A student's prose as plain text: one form for equal texts, and nothing in it that hides.

Written work as plain text, whatever program it was written with.

PDF and Word files are read inside the sandbox by `read_document.py`: their readers are large, and
have a history of files that hang them or fill the memory. What comes out is data of the student's
and judged as such. Markdown, text and notebooks need no such reader, so they are read here, and
can be graded on machines where no sandbox works.
"""

from __future__ import annotations

import re
import signal
import threading
import unicodedata
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

from grader.core.constants import (
    DOCUMENT_MAX_BYTES,
    DOCUMENT_MAX_CHARACTERS,
    DOCUMENT_MEMORY_BYTES,
    DOCUMENT_SECONDS,
    DOCUMENT_WALL_SECONDS,
    MIB,
    PDF_MAX_UNKNOWN_SHARE,
    PDF_PAGE_MIN_LETTERS,
)
from grader.core.errors import FileRefused, GraderFault
from grader.core.files import NotRegular, open_regular
from grader.core.strict_json import StrictJsonError, loads
from grader.intake.notebooks import read_cells
from grader.intake.paths import not_regular, shown
from grader.sandbox.api import ExitReason, Limits, RunResult, RunSpec, Sandbox

_NEW_LINE = re.compile("\r\n|[\r\v\f\x1c-\x1e\x85\u2028\u2029]")
# Selectors of rare glyphs and of emoji: they show nothing, and any text can be spelled with them.
_SPELLING = re.compile("[\ufe00-\ufe0e\U000e0100-\U000e01ef]")
_SOFT_HYPHEN = "\u00ad"
# Emoji and several scripts are spelled with these; between words they say nothing.
_JOINERS = "\u200c\u200d"
_UNKNOWN = "\N{REPLACEMENT CHARACTER}"


def clean(text: str) -> tuple[str, int]:
    """The text in NFC with "\\n" between lines, and how many characters that hide went from it.

    Only new lines and tabs stay of all control characters. Format characters go (zero-width ones,
    those that turn text around, tags); soft hyphens and the joiners of emoji are not counted, for
    honest texts have them. Characters without a meaning in Unicode become U+FFFD.
    """
    text = _NEW_LINE.sub("\n", text)
    text, hidden = _SPELLING.subn("", text)
    kept: list[str] = []
    for character in text:
        if character in "\n\t" or character.isprintable():
            kept.append(character)
            continue
        match unicodedata.category(character):
            case "Cn" | "Co" | "Cs":
                kept.append(_UNKNOWN)
            case "Cc" | "Cf":
                hidden += character not in _JOINERS and character != _SOFT_HYPHEN
            case _:  # spaces of other kinds than the usual one
                kept.append(" ")
    return unicodedata.normalize("NFC", "".join(kept)), hidden


def letters(text: str) -> int:
    """How many letters and digits it has."""
    return sum(map(str.isalnum, text))


def unknown_share(text: str) -> float:
    """Which share of its letters nobody can name; 0 of a text without any."""
    unknown = text.count(_UNKNOWN)
    return unknown / (unknown + letters(text)) if unknown else 0.0


OTHER_KIND: Final = "DOC101"
CANNOT_BE_OPENED: Final = "DOC102"
PROTECTED: Final = "DOC103"
WITHOUT_TEXT: Final = "DOC104"
TOO_LARGE: Final = "DOC105"

_INSTEAD: Final = "Submit it as PDF, Word (.docx) or Markdown."
_EXPORT_AGAIN: Final = {
    "pdf": "Export the PDF again from the program that you wrote it in; see that it opens.",
    "docx": "Open it in Word or LibreOffice, save it as .docx again, or export it as PDF.",
}
_UNPROTECTED: Final = {
    "pdf": "Export the PDF again without a password and without restrictions.",
    "docx": "Remove the password (File, Info, Protect Document), and save it again.",
}
_SHORTER: Final = "Submit a shorter version: the text itself, with pictures in a lower resolution."
_KINDS: Final = {
    ".pdf": "pdf",
    ".docx": "docx",
    ".md": "text",
    ".markdown": "text",
    ".txt": "text",
    ".ipynb": "notebook",
}
_NAMES: Final = {"pdf": "a PDF", "docx": "a Word file (.docx)"}
_SIGNS: Final = (
    (b"%PDF-", "a PDF"),
    (b"PK\x03\x04", "a Word, OpenDocument or ZIP file"),
    (b"\xd0\xcf\x11\xe0", "a Word file of the old kind (.doc), or one with a password"),
    (b"{\\rtf", "an RTF file"),
    (b"<", "a web page"),
)
_LIMITS: Final = Limits(
    wall_seconds=DOCUMENT_WALL_SECONDS,
    cpu_seconds=DOCUMENT_SECONDS,
    memory_bytes=DOCUMENT_MEMORY_BYTES,
    processes=8,
    file_bytes=DOCUMENT_MAX_BYTES,
    harvest_files=1,
    harvest_bytes=DOCUMENT_MAX_BYTES,
)
# What a document makes the reader die of; other signals come from the machine.
_CRASHES: Final = frozenset({signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGFPE})
_NOTES: Final = {
    "unread pages": "Pages that could not be read and are left out: {}.",
    "pages with unseen text": "Pages with white or invisible text, which is in the text: {}.",
    "hidden letters": "Letters that are hidden, white or tiny, and left out: {}.",
}


@dataclass(frozen=True, slots=True)
class DocumentText:
    """What a document says.

    `text` is in NFC, with new lines and tabs as its only control characters, and at most
    DOCUMENT_MAX_CHARACTERS long. `pages` is None where a document has none of its own. `notes` are
    sentences for whoever judges it: what was left out, what looks hidden.
    """

    text: str
    pages: int | None
    notes: tuple[str, ...]


def needs_sandbox(path: str) -> bool:
    """Whether a file of this name is read inside the sandbox; others are read right here."""
    return _KINDS.get(Path(path).suffix.lower()) in _NAMES


def document_text(
    path: Path, sandbox: Sandbox, stop: threading.Event | None = None
) -> DocumentText:
    """The text of the document at `path`: a .pdf, .docx, .md, .markdown, .txt or .ipynb file.

    Raises FileRefused: DOC101 another kind of file than its name says, or than is read; DOC102
    corrupt; DOC103 protected by a password; DOC104 without text that can be read; DOC105 too large,
    too long or too slow to read; LAY104 no regular file; SRC101 or SRC102 a notebook that is none.
    Raises GraderFault when our reader or the machine fails, and Stopped when `stop` is set.
    """
    try:
        with open_regular(path) as file:
            data = file.read(DOCUMENT_MAX_BYTES + 1)
    except NotRegular:
        link = not_regular(path.name, "not a regular file")
        raise FileRefused(link.code, link.message, link.hint, path.name) from None
    return text_of(path.name, data, sandbox, stop)


def text_of(
    path: str, data: bytes, sandbox: Sandbox, stop: threading.Event | None = None
) -> DocumentText:
    """As `document_text`, of a file's bytes; `path` is its name inside the submission."""
    kind = _KINDS.get(Path(path).suffix.lower())
    if kind is None:
        what = f"is a file of a kind that is not read ({shown(Path(path).suffix) or 'no ending'})"
        raise _refused(OTHER_KIND, path, f"{what}; .pdf, .docx or .md is expected", _INSTEAD)
    if len(data) > DOCUMENT_MAX_BYTES:
        what = f"is larger than {DOCUMENT_MAX_BYTES // MIB} MiB, the most that is read"
        raise _refused(TOO_LARGE, path, what, _SHORTER)
    match kind:
        case "text":
            found = _from_text(path, data)
        case "notebook":
            found = _from_notebook(path, data)
        case _:
            found = _from_sandbox(path, data, kind, sandbox, stop)
    if len(found.text) > DOCUMENT_MAX_CHARACTERS:
        raise _too_long(path)
    text, hidden = clean(found.text)
    notes = found.notes
    if hidden:
        notes += (f"Characters that do not show, and were taken out: {hidden}.",)
    if len(text) > DOCUMENT_MAX_CHARACTERS:  # NFC may add some
        raise _too_long(path)
    _refuse_without_text(path, text, found.pages)
    return DocumentText(text, found.pages, notes)


def _refused(code: str, path: str, what: str, hint: str) -> FileRefused:
    return FileRefused(code, f"{shown(path)!r} {what}.", hint, path)


def _too_long(path: str) -> FileRefused:
    what = f"holds more than {DOCUMENT_MAX_CHARACTERS} characters, the most that is read"
    return _refused(TOO_LARGE, path, what, _SHORTER)


def _refuse_without_text(path: str, text: str, pages: int | None) -> None:
    if unknown_share(text) > PDF_MAX_UNKNOWN_SHARE:
        raise _refused(
            WITHOUT_TEXT,
            path,
            "shows letters, but does not say which: its fonts lack that table",
            "Export it again with fonts embedded as they are (not as outlines), or submit the "
            "Word or Markdown file that you made it from.",
        )
    found = letters(text)
    if pages is not None and found < PDF_PAGE_MIN_LETTERS * pages:
        raise _refused(
            WITHOUT_TEXT,
            path,
            f"has too few letters for its pages ({found} on {pages}); they seem to be pictures",
            "Submit the document that you wrote, not a scan or photographs of it.",
        )
    if found == 0:
        raise _refused(WITHOUT_TEXT, path, "holds no text", _INSTEAD)


def _from_text(path: str, data: bytes) -> DocumentText:
    for start, kind in _SIGNS[:4]:
        if data.startswith(start):
            what = f"is {kind}, and no text as its name says"
            raise _refused(OTHER_KIND, path, what, "Give it the ending of its kind, or save as .md")
    utf8 = "Save it as UTF-8 (in the editor: Save with Encoding, UTF-8)."
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        what = f"is not UTF-8: line {line} holds the byte 0x{data[error.start]:02x}"
        raise _refused(CANNOT_BE_OPENED, path, what, utf8) from None
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise _refused(CANNOT_BE_OPENED, path, f"holds a zero byte in line {line}", utf8)
    comments = min(text.count("<!--"), text.count("-->"))
    notes = (f"Comments that do not show, and are in the text: {comments}.",) if comments else ()
    return DocumentText(text, None, notes)


def _from_notebook(path: str, data: bytes) -> DocumentText:
    """Words and code in order; what the code printed is left out."""
    parts = []
    for cell in read_cells(data, path):
        parts.append(f"```python\n{cell.source}\n```" if cell.kind == "code" else cell.source)
    return DocumentText("\n\n".join(parts), None, ())


def _from_sandbox(
    path: str, data: bytes, kind: str, sandbox: Sandbox, stop: threading.Event | None
) -> DocumentText:
    start = data[:1024]
    if not (b"%PDF-" in start if kind == "pdf" else start.startswith(b"PK\x03\x04")):
        looks = next((name for sign, name in _SIGNS if start.lstrip().startswith(sign)), None)
        what = f"is not {_NAMES[kind]}, as its name says" + (f", but {looks}" if looks else "")
        raise _refused(OTHER_KIND, path, what, _EXPORT_AGAIN[kind])
    launch = RunSpec(
        files={},
        script="read_document.py",
        arguments=(kind, str(DOCUMENT_MAX_CHARACTERS)),
        inputs={"read_document.py": _reader(), "document": data},
        limits=_LIMITS,
    )
    ended = sandbox.run(launch, None, stop)
    _refuse_ending(path, kind, ended)
    return _judged(path, kind, ended)


@cache
def _reader() -> bytes:
    return Path(__file__).parents[1].joinpath("sandbox", "inside", "read_document.py").read_bytes()


def _refuse_ending(path: str, kind: str, ended: RunResult) -> None:
    """What the reader's ending says of the file. An exit code of its own is our fault.

    So is what a machine does that is too busy: time that passed, and being killed from outside.
    """
    match ended.verdict:
        case ExitReason.OK:
            return
        case ExitReason.TIMEOUT if ended.cpu_seconds >= DOCUMENT_SECONDS:
            what = f"takes more than {DOCUMENT_SECONDS} seconds of computing to read"
            raise _refused(TOO_LARGE, path, what, _SHORTER)
        case ExitReason.MEMORY | ExitReason.DISK:
            raise _unpacks(path)
        case ExitReason.SIGNAL if ended.signal in _CRASHES:
            raise _refused(
                CANNOT_BE_OPENED, path, "breaks the program that reads it", _EXPORT_AGAIN[kind]
            )
        case ExitReason.TIMEOUT:
            raise GraderFault(
                f"a document was not read within {DOCUMENT_WALL_SECONDS} seconds, of which only "
                f"{ended.cpu_seconds:.0f} were computing: the machine is too busy"
            )
        case ExitReason.SIGNAL:
            raise GraderFault(f"the reader of documents was ended by signal {ended.signal}")
        case _:
            told = ended.stderr.decode(errors="replace").strip().rsplit("\n", 1)[-1]
            raise GraderFault(f"the reader of documents failed: {shown(told, 200)}")


def _unpacks(path: str) -> FileRefused:
    return _refused(TOO_LARGE, path, "unpacks to more than a document has", _SHORTER)


def _judged(path: str, kind: str, ended: RunResult) -> DocumentText:
    try:
        found = loads(ended.files.get("text.json", b""), max_bytes=DOCUMENT_MAX_BYTES)
    except StrictJsonError as error:
        raise GraderFault(f"the reader of documents wrote no result: {error}") from None
    match found:
        case {"problem": "encrypted"}:
            what = "is protected by a password"
            raise _refused(PROTECTED, path, what, _UNPROTECTED[kind])
        case {"problem": "corrupt"}:
            what = f"cannot be opened: it is damaged, or not wholly {_NAMES[kind]}"
            raise _refused(CANNOT_BE_OPENED, path, what, _EXPORT_AGAIN[kind])
        case {"problem": "other kind"}:
            what = f"is a file of another program, and not {_NAMES[kind]}, as its name says"
            raise _refused(OTHER_KIND, path, what, _EXPORT_AGAIN[kind])
        case {"problem": "long"}:
            raise _too_long(path)
        case {"problem": "large"}:
            raise _unpacks(path)
        case {"text": str(text), "pages": int() | None as pages, "notes": dict(notes)} if (
            len(found) == 3
            and (pages is None or _is_count(pages))
            and all(map(_is_count, notes.values()))
        ):
            told = (_NOTES[name].format(notes[name]) for name in _NOTES if notes.get(name))
            return DocumentText(text, pages, tuple(told))
        case _:
            raise GraderFault("the reader of documents wrote a result of another form")


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value < 2**31
