"""Tables in place of JSON Lines: their separator, and what their columns mean.

Spreadsheets write a line such as "sep=;" first, pandas a column of row numbers without a name, and
people name columns in their own language.
"""

from __future__ import annotations

import ast
import csv
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from grader.core.constants import DATA_MAX_DEPTH, DATA_MAX_LINE_BYTES
from grader.core.strict_json import StrictJsonError, loads
from grader.training_data.read.examples import kind_of
from grader.training_data.read.other_formats import other_format

_SEPARATORS: Final = {",": "commas", "\t": "tabs", ";": "semicolons", "|": "bars"}
_SEPARATOR_LINE: Final = re.compile(r'"?sep=(?P<separator>[,;|\t])"?', re.IGNORECASE)
_NAME_MAX_CHARACTERS: Final = 60
# What columns are called where English is not spoken, in folded form; "_" stands for a space.
_QUESTION: Final = (
    "question questions query frage fragen pregunta domanda pergunta vraag pytanie otázka otazka "
    "întrebare intrebare kérdés spørsmål spørgsmål fråga kysymys soru ερώτηση вопрос питання "
    "въпрос 質問 问题 問題 질문 سؤال السؤال پرسش سوال प्रश्न câu_hỏi คำถาม"
)
_ANSWER: Final = (
    "answer answers antwort antworten respuesta réponse reponse risposta resposta antwoord "
    "odpowiedź odpowiedz odpověď odpoved răspuns raspuns válasz svar vastaus cevap "
    "yan\u0131t απάντηση ответ відповідь отговор 回答 答案 解答 답변 대답 جواب إجابة الإجابة پاسخ "
    "उत्तर trả_lời câu_trả_lời คำตอบ"
)
_MEANING: Final[Mapping[str, str]] = {
    **dict.fromkeys(_QUESTION.split(), "question"),
    **dict.fromkeys(_ANSWER.split(), "answer"),
}
_HOLD_LISTS: Final = frozenset(
    {
        *("messages", "conversations", "contents", "tools", "functions", "history", "input"),
        *("prompt", "completion", "chosen", "rejected", "preferred_output", "non_preferred_output"),
    }
)
_ABSENT: Final = frozenset({"nan", "<NA>", "#N/A", "#REF!", "#NAME?"})


class BadCell(Exception):
    """A cell cannot be read; the text gives the reason."""


@dataclass(frozen=True, slots=True)
class Table:
    """How a table is written: `columns` are its header, "" for a column without a name.

    `start` is the number of lines before the header.
    """

    separator: str
    columns: tuple[str, ...]
    start: int = 0

    @property
    def words(self) -> str:
        """What separates its cells."""
        return _SEPARATORS.get(self.separator, "nothing")

    @property
    def holds_examples(self) -> bool:
        """Whether its columns are those of a known kind or format."""
        value = dict.fromkeys(filter(None, self.columns), "")
        form = other_format(value)
        return kind_of(value) is not None or (form is not None and form.translate is not None)

    def example(self, row: Sequence[str]) -> tuple[Mapping[str, Any], tuple[str, ...]]:
        """(what a row holds by column, the columns without a name that hold something).

        Raises BadCell. Cells beyond the header may only be empty.
        """
        more = [cell for cell in row[len(self.columns) :] if cell.strip()]
        named = [i for i, name in enumerate(self.columns) if name]
        if more or len(row) <= max(named, default=0):
            raise BadCell(f"it has {len(row)} cells; the header has {len(self.columns)}")
        rest = enumerate(row[: len(self.columns)])
        unread = tuple(f"column {i + 1}" for i, cell in rest if i not in named and cell.strip())
        return {self.columns[i]: _read(self.columns[i], row[i]) for i in named}, unread


def find_table(lines: Sequence[bytes]) -> Table | None:
    """The table that these first lines begin, or None. They hold no blank line."""
    text = [line.decode("utf-8", "replace").rstrip("\r") for line in lines[:5]]
    if not text or text[0].lstrip()[:1] in ("{", "[", ""):
        return None
    given = _SEPARATOR_LINE.fullmatch(text[0].strip())
    if given is not None and len(text) > 1:
        return Table(given["separator"], _columns(text[1], given["separator"]), 1)
    found = list(_tables(text))
    return next((table for table in found if table.holds_examples), found[0] if found else None)


def _tables(text: Sequence[str]) -> Iterator[Table]:
    """Ways to read the lines as a table of named columns, likely ones first."""
    for separator in _SEPARATORS:
        try:
            rows = list(csv.reader(text, delimiter=separator))
        except csv.Error:
            continue
        table = Table(separator, _columns(text[0], separator))
        even = len(rows[0]) > 1 and all(len(row) == len(rows[0]) for row in rows[:2])
        if (even and _are_names(rows[0])) or (len(rows[0]) > 1 and table.holds_examples):
            yield table
    alone = Table(",", _columns(text[0], ","))
    listed = len(text) > 1 and text[1].lstrip().startswith(('"[', '"{'))
    if listed and len(alone.columns) == 1 and alone.columns[0] in _HOLD_LISTS:
        yield alone


def _columns(header: str, separator: str) -> tuple[str, ...]:
    try:
        cells = next(csv.reader([header], delimiter=separator), [])
    except csv.Error:
        return ()
    names = [cell.strip().strip('"').strip().casefold() for cell in cells]
    meant = [_MEANING.get("_".join(name.split()), name) for name in names]
    # A second column of one meaning keeps the name that it has.
    return tuple(
        one if meant.count(one) == 1 or name == one else name
        for one, name in zip(meant, names, strict=True)
    )


def _are_names(cells: Sequence[str]) -> bool:
    """Whether the cells of a first row may be names of columns."""
    named = [cell.strip() for cell in cells if cell.strip()]
    return bool(named) and all(
        len(name) <= _NAME_MAX_CHARACTERS and re.match(r"[^\W\d]", name) and name.isprintable()
        for name in named
    )


def _read(column: str, cell: str) -> Any:
    """What a cell holds: text, or the list or object that a program wrote into it."""
    if cell.strip() in _ABSENT:
        raise BadCell(f"{column} is {cell.strip()}, which tables write where a value is missing")
    if column not in _HOLD_LISTS or cell.lstrip()[:1] not in ("[", "{"):
        return cell
    data = cell.encode(errors="replace")
    try:
        return loads(data, max_bytes=DATA_MAX_LINE_BYTES, max_depth=DATA_MAX_DEPTH)
    except StrictJsonError as error:
        try:
            return _plain(ast.literal_eval(cell.strip()))  # as pandas writes lists and objects
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            raise BadCell(f"{column} is no JSON: {error.message}") from None


def _plain(value: Any) -> Any:
    """The value, if JSON can hold it. Raises ValueError."""
    if isinstance(value, dict) and all(isinstance(key, str) for key in value):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    if value is None or isinstance(value, str | bool | int | float):
        return value
    raise ValueError("no JSON value")
