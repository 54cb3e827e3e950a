"""Reads one PDF or Word file into plain text. Runs inside the sandbox, never in the grader.

`read_document.py pdf|docx CHARACTERS` reads the file `document` beside it and writes `text.json`:
{"text": ..., "pages": a number or null, "notes": {name: count}}, or {"problem": name} when the file
is at fault. What is written is judged in `documents.py`, which trusts none of it.
"""

from __future__ import annotations

import json
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

UNPACKED_MAX_BYTES = 256 * 1024 * 1024  # of a Word file; a hundred photos stay below
UNPACKED_MAX_FILES = 5_000

_WORD = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_MATHS = "{http://schemas.openxmlformats.org/officeDocument/2006/math}"
_FALLBACK = "{http://schemas.openxmlformats.org/markup-compatibility/2006}Fallback"
_TINY_HALF_POINTS = 4
_WHITE = 0.98  # of 1: paper-white to any eye


class UnreadableDocument(Exception):
    """The file cannot be read, because of the file; the text names the problem."""


class PdfInk:
    """Counts the texts of a page that are drawn in white or not at all."""

    def __init__(self) -> None:
        self.unseen = 0
        self._white = False
        self._mode = 0
        self._saved: list[tuple[bool, int]] = []

    def draw(self, operator: bytes, operands: Any, *_: Any) -> None:
        """Process one operator of the page's content stream, as pypdf's visitor passes it."""
        match operator:
            case b"q":
                self._saved.append((self._white, self._mode))
            case b"Q" if self._saved:
                self._white, self._mode = self._saved.pop()
            case b"g" | b"rg" | b"k" | b"sc" | b"scn":
                self._white = _is_white(operands)
            case b"Tr" if operands and isinstance(operands[0], int | float):
                self._mode = int(operands[0])
            case b"Tj" | b"TJ" | b"'" | b'"' if self._white or self._mode == 3:
                self.unseen += bool(operands)


def _is_white(operands: Any) -> bool:
    numbers = [float(one) for one in operands if isinstance(one, int | float)]
    if len(numbers) == 4:  # cyan, magenta, yellow and black ink
        return all(number <= 1 - _WHITE for number in numbers)
    return len(numbers) in (1, 3) and all(number >= _WHITE for number in numbers)


def read_pdf(path: Path, longest: int) -> dict[str, Any]:
    """The text of a PDF's pages, and how many could not be read or draw what nobody sees."""
    from pypdf import PdfReader
    from pypdf.errors import DependencyError

    try:
        reader = PdfReader(path)
        if reader.is_encrypted and not reader.decrypt(""):
            raise UnreadableDocument("encrypted")
        count = len(reader.pages)
    except (UnreadableDocument, MemoryError):
        raise
    except DependencyError:  # a cipher that pypdf leaves to another package
        raise UnreadableDocument("encrypted") from None
    except Exception as error:  # its parser meets anything a file can hold
        raise UnreadableDocument("corrupt") from error
    texts, unread, unseen, length = [], 0, 0, 0
    for number in range(count):
        ink = PdfInk()
        try:
            text = reader.pages[number].extract_text(visitor_operand_before=ink.draw)
        except MemoryError:
            raise
        except Exception:
            unread += 1
            continue
        unseen += ink.unseen > 0
        texts.append(text)
        length += len(text)
        if length > longest:
            raise UnreadableDocument("long")
    if count == 0 or unread == count:
        raise UnreadableDocument("corrupt")
    notes = {"unread pages": unread, "pages with unseen text": unseen}
    return {"text": "\n\n".join(texts), "pages": count, "notes": notes}


def read_docx(path: Path, longest: int) -> dict[str, Any]:
    """The text of a Word file as it shows: with insertions, text boxes, tables and footnotes."""
    from docx import Document
    from docx.opc.constants import RELATIONSHIP_TYPE
    from docx.oxml import parse_xml

    _refuse_bombs(path)
    try:
        document = Document(str(path))
        related = [
            r for r in document.part.rels.values() if r.reltype == RELATIONSHIP_TYPE.FOOTNOTES
        ]
        roots = [document.element, *(parse_xml(one.target_part.blob) for one in related)]
        styles: Any = document.styles.element
    except MemoryError:
        raise
    except ValueError as error:  # a package of another program, or of another kind
        raise UnreadableDocument("other kind") from error
    except Exception as error:  # its parser meets anything a file can hold
        raise UnreadableDocument("corrupt") from error
    word = WordText(styles, has_background=document.element.find(_WORD + "background") is not None)
    lines: list[str] = []
    length = 0
    for root in roots:
        for line in word.blocks(root):
            lines.append(line)
            length += len(line) + 1
            if length > longest:
                raise UnreadableDocument("long")
    return {"text": "\n".join(lines), "pages": None, "notes": {"hidden letters": word.hidden}}


def _refuse_bombs(path: Path) -> None:
    try:
        with zipfile.ZipFile(path) as package:
            members = package.infolist()
    except Exception as error:
        raise UnreadableDocument("corrupt") from error
    if any(member.flag_bits & 1 for member in members):
        raise UnreadableDocument("encrypted")
    unpacked = sum(member.file_size for member in members)
    if unpacked > UNPACKED_MAX_BYTES or len(members) > UNPACKED_MAX_FILES:
        raise UnreadableDocument("large")


class WordText:
    """The text in a Word file's XML. Invisible letters are left out and counted."""

    def __init__(self, styles: Any, has_background: bool) -> None:
        self.hidden = 0
        self._has_background = has_background
        self._hidden_styles = _hidden_styles(styles)

    def blocks(self, node: Any) -> Iterator[str]:
        """A line for each paragraph and each row of a table below `node`, in order."""
        for child in node:
            if child.tag == _WORD + "p":
                yield self._text(child)
            elif child.tag == _WORD + "tbl":
                for row in _parts(child, "tr"):
                    yield " | ".join(
                        " ".join(filter(None, self.blocks(cell))) for cell in _parts(row, "tc")
                    )
            else:
                yield from self.blocks(child)

    def _text(self, paragraph: Any) -> str:
        pieces: list[str] = []
        for node in _shown(paragraph):
            if node.tag in (_WORD + "t", _MATHS + "t"):
                text = node.text or ""
                if self._is_hidden(node.getparent(), paragraph):
                    self.hidden += len(text)
                else:
                    pieces.append(text)
            elif node.tag == _WORD + "tab":
                pieces.append("\t")
            elif node.tag in (_WORD + "br", _WORD + "cr", _WORD + "p"):
                pieces.append("\n")
            elif node.tag == _WORD + "noBreakHyphen":
                pieces.append("-")
        return "".join(pieces)

    def _is_hidden(self, run: Any, paragraph: Any) -> bool:
        rules = run.find(_WORD + "rPr")
        if rules is None or rules.find(_WORD + "vanish") is None:
            named = [*_values(run, "rPr", "rStyle"), *_values(paragraph, "pPr", "pStyle")]
            if not self._hidden_styles.isdisjoint(named):
                return True
        if rules is None:
            return False
        return _vanishes(rules) or (_is_faint(rules) and not self._on_colour(run))

    def _on_colour(self, run: Any) -> bool:
        """Whether the background may be other than white, so that white letters show."""
        if self._has_background:
            return True
        for node in (run, *run.iterancestors()):
            if node.tag in (_WORD + "txbxContent", _WORD + "tbl"):  # their styles bring colours
                return True
            for name in ("rPr", "pPr"):
                rules = node.find(_WORD + name)
                if rules is not None and any(
                    rules.find(_WORD + behind) is not None for behind in ("shd", "highlight")
                ):
                    return True
        return False


def _parts(node: Any, name: str) -> Iterator[Any]:
    """The rows of a table or the cells of a row, but not those of a table inside of it."""
    for part in node.iter(_WORD + name):
        if next(part.iterancestors(node.tag)) is node:
            yield part


def _shown(paragraph: Any) -> Iterator[Any]:
    """What is inside of a paragraph, in order, without what was deleted or is there twice."""
    skipped = (_FALLBACK, _WORD + "del", _WORD + "moveFrom", _WORD + "pPr", _WORD + "rPr")
    waiting = list(reversed(paragraph))
    while waiting:
        node = waiting.pop()
        if node.tag not in skipped:
            yield node
            waiting += reversed(node)


def _values(node: Any, rules: str, name: str) -> list[str]:
    found = node.find(f"{_WORD}{rules}/{_WORD}{name}")
    return [] if found is None else [found.get(_WORD + "val", "")]


def _vanishes(rules: Any) -> bool:
    mark = rules.find(_WORD + "vanish")
    return mark is not None and mark.get(_WORD + "val", "true") not in ("0", "false", "off")


def _is_faint(rules: Any) -> bool:
    """White letters, or letters too small to be seen."""
    colour, size = rules.find(_WORD + "color"), rules.find(_WORD + "sz")
    white = colour is not None and (
        colour.get(_WORD + "val", "").upper() == "FFFFFF"
        or colour.get(_WORD + "themeColor") == "background1"
    )
    half_points = "" if size is None else size.get(_WORD + "val", "")
    tiny = half_points.isascii() and half_points.isdigit() and len(half_points) < 4
    return white or (tiny and int(half_points) <= _TINY_HALF_POINTS)


def _hidden_styles(styles: Any) -> set[str]:
    """Names of the styles whose letters vanish, by their own rule or by the style below."""
    below: dict[str, str] = {}
    hidden: set[str] = set()
    for style in styles.iter(_WORD + "style"):
        name = style.get(_WORD + "styleId", "")
        rules, base = style.find(_WORD + "rPr"), style.find(_WORD + "basedOn")
        if rules is not None and _vanishes(rules):
            hidden.add(name)
        if base is not None and (rules is None or rules.find(_WORD + "vanish") is None):
            below[name] = base.get(_WORD + "val", "")
    for name in below:
        at, seen = name, {name}
        while at in below and (at := below[at]) not in seen:
            seen.add(at)
        if seen & hidden:
            hidden.add(name)
    return hidden


def main() -> None:
    """Read `document`, write `text.json`."""
    kind, longest = sys.argv[1], int(sys.argv[2])
    read = {"pdf": read_pdf, "docx": read_docx}[kind]
    try:
        found = read(Path("document"), longest)
        # Halves of surrogate pairs, which a PDF may hold, are joined or replaced.
        whole = found["text"].encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        found["text"] = whole.replace("\0", "")
    except UnreadableDocument as problem:
        found = {"problem": str(problem)}
    except MemoryError:
        found = {"problem": "large"}
    Path("text.json").write_text(json.dumps(found), encoding="ascii")


if __name__ == "__main__":
    main()
