"""RUBRIC.md: how an assignment is graded, in words, as it lies in the kit.

It is made from the rubric itself, so what students read is what they are graded by.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from grader.core.nouns import Assignment, Category, Criterion
from grader.core.review import Level
from grader.core.text import counted, number, points

RUBRIC_NAME: Final = "RUBRIC.md"
_GAIN: Final = "the lower end of the gain's 95% interval: what is certain beyond luck"
_MEASURES: Final = {
    "delta_low95": _GAIN,
    "share": "the share of what is asked for that holds",
    "answered_share": "the share of questions that it answers",
    "agreement": "how near your number is to the grader's: 98% is at most 2% off",
}
"""What measures are called; any other is called by its name."""
_SHARES: Final = ("share", "low95", "agreement", "delta")


def rubric_markdown(assignment: Assignment, claims: Mapping[str, str]) -> str:
    """The whole page. `claims` are the titles of its checks by reference.

    The same assignment always gives the same text.
    """
    lines = [
        f"# How this is graded: {assignment.title}",
        "",
        f"There are {_worth(assignment.max_points)}; {_worth(assignment.pass_points)} pass.",
        "",
        "| For | Points |",
        "|---|---|",
        *(_summary(assignment, category) for category in assignment.categories),
        "",
        "Each criterion below names what decides it:",
        "",
        "- A check, by its code. `finegrade explain CODE` says what it looks at and how to pass; "
        "`finegrade check` runs it on your work and shows the points. Where a criterion has steps, "
        'the highest one that you reach counts. What stands behind "only if" must hold '
        "too, or the criterion is worth nothing.",
        "- A person, who reads what you wrote and gives each item one of the levels that stand "
        "below it: half is half of the item's points.",
        "",
        "Files that are still as the kit has them count as not submitted. Hidden questions are new "
        "ones of the same kinds as the public ones, so points for right answers that `finegrade "
        "check` shows are estimates.",
    ]
    for category in assignment.categories:
        lines += ["", *_category(assignment, category, claims)]
    return "\n".join(lines) + "\n"


def measure_words(measure: str) -> str:
    """What a measure is called."""
    return _MEASURES.get(measure, measure.replace("_", " "))


def measure_value(measure: str, value: float) -> str:
    """A value of it: shares and gains in percent, others as numbers."""
    if measure.endswith(_SHARES):
        sign = "+" if measure.startswith("delta") else ""
        return f"{100 * value:{sign}.3g}%"
    return number(value)


def _summary(assignment: Assignment, category: Category) -> str:
    mine = [c for c in assignment.criteria if c.category == category.id]
    parts = {part: sum(c.points for c in mine if c.part == part) for part in {c.part for c in mine}}
    of_parts = ""
    if category.best_parts is not None:
        each = " or ".join(dict.fromkeys(points(worth) for worth in parts.values()))
        of_parts = f": the best {counted(category.best_parts, 'part')}, {each} points each"
    extra = " on top; voluntary" if category.extra else ""
    return f"| {_cell(category.title)}{of_parts} | {points(category.points)}{extra} |"


def _category(assignment: Assignment, category: Category, claims: Mapping[str, str]) -> list[str]:
    extra = ", on top" if category.extra else ""
    lines = [f"## {category.title}: {_worth(category.points)}{extra}", ""]
    if category.best_parts is not None:
        lines += [f"The best {counted(category.best_parts, 'part')} count.", ""]
    mine = [c for c in assignment.criteria if c.category == category.id]
    titles = {part.id: part.title for part in assignment.parts}
    for part in dict.fromkeys(criterion.part for criterion in mine):
        some = [criterion for criterion in mine if criterion.part == part]
        if part is not None:
            of_part = sum(criterion.points for criterion in some)
            lines += [f"### {titles[part]}: {_worth(of_part)}", ""]
        checked = [criterion for criterion in some if not criterion.items]
        for criterion in checked:
            lines += _checked(criterion, claims)
        if checked:
            lines.append("")
        for criterion in some:
            if criterion.items:
                lines += _judged(assignment, criterion, claims)
    return lines[:-1]


def _checked(criterion: Criterion, claims: Mapping[str, str]) -> list[str]:
    """A criterion that a check decides, with the points of each band of its measure."""
    source, _, measure = criterion.source.partition(".")
    lines = [f"- **{criterion.title}** ({_worth(criterion.points)})"]
    claim = claims.get(source, criterion.title)
    lines.append(f"  - {source}: {claim}." if claim != criterion.title else f"  - {source}.")
    if criterion.bands:
        first, *others = criterion.bands
        bands = [f"{_worth(first.points)} from {measure_value(measure, first.at_least)} on"]
        bands += [f"{points(b.points)} from {measure_value(measure, b.at_least)}" for b in others]
        lines.append(f"  - Measured is {measure_words(measure)}. {', '.join(bands)}.")
    if criterion.requires:
        lines.append(f"  - {_required(criterion, claims)}")
    return lines


def _required(criterion: Criterion, claims: Mapping[str, str]) -> str:
    """The sentence on its requirements: one by its claim, several by their codes."""
    if len(criterion.requires) > 1:
        return f"Only if these hold: {', '.join(criterion.requires)}."
    (ref,) = criterion.requires
    claim = f": {claims[ref]}" if ref in claims else ""
    return f"Only if {ref} holds{claim}."


def _judged(assignment: Assignment, criterion: Criterion, claims: Mapping[str, str]) -> list[str]:
    """What a person judges, item by item."""
    files = [assignment.deliverable(id).title for id in criterion.judges]
    what = f"in: {', '.join(files)}" if files else "without a file"
    lines = [
        f"**{criterion.title}** ({_worth(criterion.points)}): a person judges this {what}.",
    ]
    if criterion.requires:
        lines[0] += f" {_required(criterion, claims)}"
    lines.append("")
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
