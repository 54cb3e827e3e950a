"""How well the facts of written work are extracted, measured on the labelled documents.

`python scripts/measure_facts.py` prints precision and recall by author and half;
`--errors NAME...` lists what was missed or wrongly found in these documents.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from grader.checks.views.written_work.aspects import aspects_of
from grader.checks.views.written_work.comparison_words import COMPARISON
from grader.checks.views.written_work.measured import Measured
from grader.checks.views.written_work.number_claims import NumberFact, numbers_of
from grader.checks.views.written_work.overlap import Source, Sources
from grader.checks.views.written_work.passages import form_of, passages
from grader.evidence import documents as reading
from grader.sandbox.choose import UnavailableSandbox
from grader.sandbox.inside.read_document import read_docx, read_pdf

ROOT: Final = Path(__file__).resolve().parent.parent
LABELLED: Final = ROOT / "tests" / "written_work" / "labelled"
KINDS: Final = ("aspects", "numbers found", "verdicts", "claims")


@dataclass
class Count:
    """Labels, those found, what was given, and those of it that are right."""

    labels: int = 0
    found: int = 0
    given: int = 0
    right: int = 0

    def __add__(self, other: Count) -> Count:
        return Count(*(a + b for a, b in zip(self.all(), other.all(), strict=True)))

    def all(self) -> tuple[int, int, int, int]:
        return self.labels, self.found, self.given, self.right

    @property
    def precision(self) -> float:
        return self.right / self.given if self.given else 1.0

    @property
    def recall(self) -> float:
        return self.found / self.labels if self.labels else 1.0


@dataclass
class Document:
    """A labelled document: its counts by kind, and a line for each error."""

    name: str
    counts: dict[str, Count]
    errors: list[str] = field(default_factory=list)

    @property
    def author(self) -> str:
        return self.name[0]

    @property
    def is_held_out(self) -> bool:
        return int(self.name[1:3]) % 2 == 0


def text_of(path: Path) -> str:
    """A document's text as the grader reads it; the documents are ours and need no sandbox."""
    match path.suffix:
        case ".pdf":
            return reading.clean(read_pdf(path, 10**7)["text"])[0]
        case ".docx":
            return reading.clean(read_docx(path, 10**7)["text"])[0]
        case _:
            return reading.text_of(
                path.name, path.read_bytes(), UnavailableSandbox("not needed")
            ).text


def given() -> Sources:
    """What every student was given: the course document and the texts of the kit."""
    kit = sorted((ROOT / "starter" / "llm-methods").glob("*.md"))
    paths = [LABELLED / "course.md", *kit]
    return Sources(Source(path.name, path.read_text(encoding="utf-8")) for path in paths)


def measure(folder: Path, sources: Sources) -> Document:
    """One document's facts held against its labels."""
    (path,) = (p for p in folder.iterdir() if p.stem == "analysis")
    text = text_of(path)
    labels = json.loads((folder / "labels.json").read_text(encoding="utf-8"))
    facts = Measured.of(json.loads((folder / "facts.json").read_text(encoding="utf-8")))
    document = passages(text, form_of(path.name))
    copies = sources.copies(text)
    found = Document(folder.name, {kind: Count() for kind in KINDS})
    spoken = aspects_of(document, COMPARISON, copies)
    for id, starts in labels["aspects"].items():
        places = [_find(start, text) for start in starts]
        spans = [(p.start, p.end) for p, ids in zip(document, spoken, strict=True) if id in ids]
        missed = [at for at in places if not any(a <= at < b for a, b in spans)]
        wrong = [(a, b) for a, b in spans if not any(a <= at < b for at in places)]
        found.counts["aspects"] += Count(
            len(places), len(places) - len(missed), len(spans), len(spans) - len(wrong)
        )
        found.errors += [f"missed {id}: {text[at : at + 90]!r}" for at in missed]
        found.errors += [f"wrong {id}: {text[a : a + 90]!r}" for a, _ in wrong]
    _measure_numbers(
        found,
        text,
        labels["numbers"],
        numbers_of(text, document, COMPARISON, facts, spoken, copies),
    )
    return found


def _measure_numbers(
    found: Document, text: str, labels: Iterable[dict[str, Any]], given: Iterable[NumberFact]
) -> None:
    wanted = [(*_place(label, text), label) for label in labels]
    left = {fact.start: fact for fact in given}
    claims, verdicts, numbers = (found.counts[k] for k in ("claims", "verdicts", "numbers found"))
    for start, end, label in wanted:
        match = next((f for f in left.values() if f.start < end and start < f.end), None)
        numbers.labels += 1
        verdicts.labels += 1
        claims.labels += label["claims"] is not None
        around = " ".join(text[max(0, start - 50) : end + 40].split())
        if match is None:
            found.errors.append(f"missed number {label['text']!r} {label['claims']}: {around}")
            continue
        del left[match.start]
        same = _canonical(match.claims) == _canonical(label["claims"])
        right = match.verdict == label["verdict"]
        numbers.found += 1
        numbers.given += 1
        numbers.right += 1
        verdicts.found += right
        verdicts.given += 1
        verdicts.right += right
        claims.given += match.claims is not None
        claims.right += same and match.claims is not None
        claims.found += same and label["claims"] is not None
        if not same or not right:
            found.errors.append(
                f"{label['text']!r} is {label['claims']} {label['verdict']}, "
                f"given {match.claims} {match.verdict}: {around}"
            )
    for fact in left.values():
        numbers.given += 1
        verdicts.given += 1
        claims.given += fact.claims is not None
        around = " ".join(text[max(0, fact.start - 50) : fact.end + 40].split())
        found.errors.append(f"no number {fact.text!r} {fact.claims}: {around}")


def _canonical(claim: str | None) -> str | None:
    """One form for claims that say the same, such as those of two in another order."""
    if claim is None:
        return None
    claim = claim.removeprefix("1-")
    sign = next((sign for sign in "-/" if sign in claim), "")
    return sign.join(sorted(claim.split(sign))) if sign else claim


def _flexible(words: str) -> re.Pattern[str]:
    return re.compile(r"\s+".join(map(re.escape, words.split())))


def _find(words: str, text: str) -> int:
    match = _flexible(words).search(text)
    if match is None:
        raise ValueError(f"a label's words are not in the text: {words!r}")
    return match.start()


def _place(label: dict[str, Any], text: str) -> tuple[int, int]:
    """Where a label's number stands: once in its context, not inside of a longer number."""
    context = _flexible(label["context"]).search(text)
    if context is None:
        raise ValueError(f"a label's context is not in the text: {label['context']!r}")
    number = label["text"]
    left = r"(?<!\w)" if number[0].isalpha() else r"(?<!\d)(?<!\d[.,])"
    right = r"(?!\w)" if number[-1].isalpha() else r"(?!\d|[.,]\d)"
    found = re.search(left + _flexible(number).pattern + right, context[0])
    found = found or _flexible(number).search(context[0])
    if found is None:
        raise ValueError(f"{number!r} is not in its context")
    return context.start() + found.start(), context.start() + found.end()


def documents() -> Iterator[Document]:
    """Every labelled document, measured."""
    sources = given()
    for folder in sorted(LABELLED.glob("*/*/")):
        yield measure(folder, sources)


def table(measured: Iterable[Document]) -> Iterator[tuple[str, str, str, int, Count]]:
    """Rows: author, half, kind, documents, counts; then all of them together."""
    everyone = list(measured)
    groups = [(a, h) for a in ("a", "b", "both") for h in ("development", "held out", "both")]
    for author, half in groups:
        chosen = [
            d
            for d in everyone
            if author in (d.author, "both")
            and half in ("both", "held out" if d.is_held_out else "development")
        ]
        for kind in KINDS:
            yield author, half, kind, len(chosen), sum((d.counts[kind] for d in chosen), Count())


def main() -> None:
    """Print the table, or the errors of some documents."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--errors", nargs="+", metavar="NAME", help="beginnings of names")
    parser.add_argument("--half", choices=["development", "held out"])
    options = parser.parse_args()
    measured = list(documents())
    for document in measured:
        if options.errors and document.name.startswith(tuple(options.errors)):
            print(document.name, *document.errors, sep="\n  ")
    print(
        f"{'author':8}{'half':13}{'kind':16}{'docs':>5}{'labels':>8}{'precision':>11}{'recall':>8}"
    )
    for author, half, kind, size, count in table(measured):
        if options.half in (None, half):
            print(
                f"{author:8}{half:13}{kind:16}{size:5}{count.labels:8}"
                f"{count.precision:11.3f}{count.recall:8.3f}"
            )


if __name__ == "__main__":
    main()
