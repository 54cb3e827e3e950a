"""RUBRIC.md: how an assignment is graded, in words, as it lies in the kit.

It is made from the rubric itself, so what students read is what they are graded by.
"""

from __future__ import annotations

from typing import Final

from grader.core.nouns import Assignment, Category, Criterion
from grader.core.review import Level
from grader.core.text import counted, points

RUBRIC_NAME: Final = "RUBRIC.md"


def rubric_markdown(assignment: Assignment) -> str:
    """The whole page. The same assignment always gives the same text."""
    lines = [
        f"# How this is graded: {assignment.title}",
        "",
        f"There are {_worth(assignment.max_points)}; {_worth(assignment.pass_points)} pass. Most "
        "follow from checks, by their codes: `finegrade explain CODE` says what a check looks at, "
        "and `finegrade check` runs it on your work. The rest is judged by a person, who gives "
        "each item one of the levels below: half is half of its points.",
    ]
    for category in assignment.categories:
        lines += ["", *_category(assignment, category)]
    return "\n".join(lines) + "\n"


def _category(assignment: Assignment, category: Category) -> list[str]:
    extra = ", on top" if category.extra else ""
    lines = [f"## {category.title}: {_worth(category.points)}{extra}", ""]
    if category.best_parts is not None:
        lines += [f"The best {counted(category.best_parts, 'part')} count.", ""]
    mine = [c for c in assignment.criteria if c.category == category.id]
    titles = {part.id: part.title for part in assignment.parts}
    for part in dict.fromkeys(criterion.part for criterion in mine):
        some = [criterion for criterion in mine if criterion.part == part]
        if part is not None:
            lines += [f"### {titles[part]}", ""]
        checked = [criterion for criterion in some if not criterion.items]
        if checked:
            lines += ["| Criterion | Points | Decided by |", "|---|---|---|"]
            lines += [f"| {_cell(c.title)} | {points(c.points)} | {_by(c)} |" for c in checked]
            lines.append("")
        for criterion in some:
            if criterion.items:
                lines += _judged(assignment, criterion)
    return lines[:-1]


def _by(criterion: Criterion) -> str:
    """What decides, with the points of each band of a measure."""
    source, _, measure = criterion.source.partition(".")
    said = source
    if criterion.bands:
        bands = (f"{points(band.points)} from {band.at_least:g}" for band in criterion.bands)
        said = f"{source}, by {measure.replace('_', ' ')}: {', '.join(bands)}"
    return said + _required(criterion)


def _required(criterion: Criterion) -> str:
    return f"; needs {', '.join(criterion.requires)}" if criterion.requires else ""


def _judged(assignment: Assignment, criterion: Criterion) -> list[str]:
    """What a person judges, item by item."""
    files = [assignment.deliverable(id).title for id in criterion.judges]
    what = f"in: {', '.join(files)}" if files else "without a file"
    lines = [
        f"**{criterion.title}** ({_worth(criterion.points)}): a person judges this "
        f"{what}{_required(criterion)}.",
        "",
    ]
    for item in criterion.items:
        lines.append(f"- **{item.claim}** ({_worth(item.points)})")
        said = {Level.FULL: item.full, Level.HALF: item.half, Level.NONE: item.none}
        for level in item.levels:
            lines.append(f"  - {level} ({points(item.worth(level))}): {said[level]}")
        if item.example:
            lines.append(f"  - an example: {item.example}")
    return [*lines, ""]


def _worth(number: float) -> str:
    return f"{points(number)} point{'' if number == 1 else 's'}"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
