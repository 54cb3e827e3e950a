"""What students are given, and what of a file is a student's own.

A program whose statements all stand in the kit's file of that name, or a document with no words
but the template's, is not submitted: nothing in it was made by the student.
"""

from __future__ import annotations

import io
import re
import tokenize
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Final

from grader.core.constants import GIVEN_MAX_BYTES, NOTEBOOK_MAX_BYTES
from grader.core.errors import FileRefused, GraderFault
from grader.core.files import resource
from grader.core.nouns import Assignment, Deliverable, Submission
from grader.intake.notebooks import read_cells, read_notebook
from grader.intake.submission import read_file
from grader.intake.submitted_notebook import is_notebook

_WORD: Final = re.compile(r"\w+")
_STUB: Final = "_Write here"
_NO_WORK: Final = frozenset({"pass", "...", "return", "return None"})
"""Statements in the place of a stub that do nothing."""
_LAYOUT: Final = frozenset({tokenize.NL, tokenize.INDENT, tokenize.DEDENT, tokenize.COMMENT})
_MOST_BYTES: Final[Mapping[str, int]] = {
    ".py": GIVEN_MAX_BYTES,
    ".ipynb": NOTEBOOK_MAX_BYTES,
    ".md": GIVEN_MAX_BYTES,
    ".json": GIVEN_MAX_BYTES,
    ".jsonl": GIVEN_MAX_BYTES,
}
"""What is compared with the kit, and up to which size; a larger file is no kit's."""


def untouched(assignment: Assignment, submission: Submission) -> dict[str, str]:
    """The deliverables that hold nothing of the student's own: path by id.

    Raises GraderFault where a file changed since it was taken in.
    """
    found = {}
    for deliverable in assignment.deliverables:
        place = submission.places.get(deliverable.id)
        if isinstance(place, str) and _is_untouched(assignment.id, deliverable, submission, place):
            found[deliverable.id] = place
    return found


def _is_untouched(
    assignment: str, deliverable: Deliverable, submission: Submission, place: str
) -> bool:
    most = _MOST_BYTES.get(PurePosixPath(place).suffix)
    if most is None or submission.file(place) is None:
        return False
    names = {PurePosixPath(path).name for path in deliverable.paths}
    kit = [path for path in given_files(assignment) if path.name in names]
    if not kit:
        return False
    try:
        data = read_file(submission, place, most)
        if place.endswith(".md"):
            template = Template("\n".join(path.read_text("utf-8") for path in kit))
            text = data.decode("utf-8")
            return bool(_folded(text)) and template.own_words(text) == 0
        if place.endswith((".py", ".ipynb")):
            known = _NO_WORK.union(*(_statements(path.name, path.read_bytes()) for path in kit))
            if is_notebook(place):
                known = known.union(*map(_of_notebook, kit))
            mine = _statements(place, data)
            return bool(mine) and mine <= known
    except (FileRefused, _NoProgram, UnicodeDecodeError):  # a check says what is wrong with it
        return False
    return any(data.split() == path.read_bytes().split() for path in kit)


class _NoProgram(Exception):
    """It cannot be read as Python."""


def _statements(name: str, data: bytes) -> frozenset[str]:
    """The logical lines of a program, without comments, docstrings and layout."""
    if is_notebook(name):
        data = read_notebook(data, name).script.encode()
    if len(data) > GIVEN_MAX_BYTES:
        raise _NoProgram
    found = set()
    line: list[str] = []
    try:
        for token in tokenize.tokenize(io.BytesIO(data).readline):
            if token.type in (tokenize.NEWLINE, tokenize.ENDMARKER):
                found.add(" ".join(line))
                line = []
            elif token.type == tokenize.STRING and not line and _ends_line(token):
                continue
            elif token.type not in _LAYOUT and token.type != tokenize.ENCODING:
                line.append(token.string)
    except (tokenize.TokenError, SyntaxError, ValueError, LookupError) as error:
        raise _NoProgram from error
    return frozenset(found - {""})


def _of_notebook(script: Path) -> frozenset[str]:
    """As _statements, of the kit's notebook of this script: its first cell prepares Jupyter."""
    from grader.assignment.kit_notebooks import notebook_of  # nbformat takes a while to import

    notebook = notebook_of(script.read_text("utf-8"), script.name)
    return _statements(f"{script.stem}.ipynb", notebook)


def _ends_line(token: tokenize.TokenInfo) -> bool:
    """Whether nothing but a comment follows a text: then it is a docstring."""
    rest = token.line.splitlines()[-1:]
    return not rest or rest[0].partition(token.string.splitlines()[-1])[2].strip()[:1] in ("", "#")


def given_files(assignment: str, pattern: str = "*") -> list[Path]:
    """The files of an assignment's kit; none for one of the instructor's own without a kit."""
    try:
        return sorted(resource("starter", assignment).glob(pattern))
    except GraderFault:
        return []


@lru_cache(maxsize=4)
def kit_lines(assignment: str) -> frozenset[str]:
    """The lines of all programs of the kit, and of texts in its notebooks, without indentation."""
    found: set[str] = set()
    for path in given_files(assignment):
        if path.suffix == ".py":
            found |= {line.strip() for line in path.read_text("utf-8").splitlines()}
        elif path.suffix == ".ipynb":
            for cell in read_cells(path.read_bytes(), path.name):
                found |= {line.strip() for line in cell.source.splitlines()}
    return frozenset(found)


def own_lines(assignment: str, source: str) -> frozenset[int]:
    """The lines of a program, from 1, that stand in no program of the kit; blank ones are none."""
    known = kit_lines(assignment)
    return frozenset(
        number
        for number, line in enumerate(source.splitlines(), 1)
        if line.strip() and line.strip() not in known
    )


@dataclass(frozen=True, slots=True)
class OwnText:
    """What of a document is the student's own: words, and the template's headings without any."""

    words: int
    blank: tuple[str, ...]


class Template:
    """The kit's text of a document: what stands in it is nobody's own."""

    def __init__(self, text: str) -> None:
        """`text` is Markdown. Only headings with a stub below them are to be filled."""
        self._known = f" {_folded(text)} "
        self._headings: dict[str, str] = {}
        heading = ""
        for line in text.splitlines():
            if line.startswith("#"):
                heading = line.strip("# \t")
            elif line.startswith(_STUB) and heading:
                self._headings[_folded(heading)] = heading

    def own_words(self, text: str) -> int:
        """How many words of this text are not the template's."""
        return self.compared(text).words

    def compared(self, text: str) -> OwnText:
        """What of this text is not the template's, whatever format it was read from.

        A line is the template's where its words stand there in the same order: other formats wrap
        lines otherwise.
        """
        below: dict[str, int] = {}
        heading, words = "", 0
        for line in _folded_lines(text):
            if line in self._headings:
                heading = line
                below.setdefault(heading, 0)
            elif f" {line} " not in self._known:
                own = line.count(" ") + 1
                words += own
                below[heading] = below.get(heading, 0) + own
        blank = (self._headings[one] for one, own in below.items() if one and not own)
        return OwnText(words, tuple(blank))


def _folded(text: str) -> str:
    """The words of a text; a stub's underscores are no letters."""
    return " ".join(word.strip("_") for word in _WORD.findall(text.casefold()) if word.strip("_"))


def _folded_lines(text: str) -> Iterator[str]:
    return (line for line in map(_folded, text.splitlines()) if line)


def template_of(assignment: str, deliverable: Deliverable) -> Template:
    """The kit's text of this document; an empty one where the kit has none."""
    names: Iterable[str] = {PurePosixPath(path).name for path in deliverable.paths}
    kit = [path for path in given_files(assignment, "*.md") if path.name in names]
    return Template("\n".join(path.read_text("utf-8") for path in kit))
