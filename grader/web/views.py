"""What the pages show: items with what is known of them, and where the class stands."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from grader.core.constants import WEB_REUSED_COMMENTS, WEB_SHOWN_DIFFERENCE
from grader.core.nouns import Criterion, Outcome
from grader.core.review import Level
from grader.course.decisions import ReviewRow, State
from grader.evidence.review import Review
from grader.report.pages import FindingView, shown
from grader.web.access import Viewer
from grader.web.desk import Desk
from grader.web.opinions import (
    SECOND,
    SETTLED,
    Opinions,
    first_opinion,
    hidden,
    is_blind,
    opinions_on,
    sampled,
    second_place,
    weighted_kappa,
)

KEYS: Final = {Level.FULL: "1", Level.HALF: "2", Level.NONE: "3"}


@dataclass(frozen=True, slots=True)
class ItemView:
    """One item of one student. `held` is what the viewer may see of what is in force.

    `blind`: the viewer is asked for a second opinion, and `held` is theirs. `reused` are comments
    on the same item with the number of other students who got them; `spread` counts their levels.
    """

    row: ReviewRow
    held: Review | None
    blind: bool
    opinions: Opinions
    reused: Sequence[tuple[str, int]]
    spread: Sequence[tuple[Level, int]]
    difference: str

    @property
    def level(self) -> Level | None:
        """The level that counts, or the viewer's own second opinion."""
        if self.blind:
            return None if self.held is None else self.held.level
        return self.row.level

    @property
    def levels(self) -> list[tuple[Level, str, float, str]]:
        """(level, its key, its points, what it looks like)."""
        item = self.row.item
        looks = {Level.FULL: item.full, Level.HALF: item.half, Level.NONE: item.none}
        return [(level, KEYS[level], item.worth(level), looks[level]) for level in item.levels]


@dataclass(frozen=True, slots=True)
class Group:
    """The items of one criterion of one student, and findings that bear on it, with their notes.

    Notes may name classmates: they are left out as long as names are not shown.
    """

    criterion: Criterion
    items: Sequence[ItemView]
    findings: Sequence[tuple[FindingView, str]]

    @property
    def is_remarkable(self) -> bool:
        """Whether a check found anything but that all is well."""
        return any(finding.kind != Outcome.PASS for finding, _ in self.findings)


def blind(desk: Desk, viewer: Viewer, row: ReviewRow) -> bool:
    """Whether the viewer is to give a second opinion on this row without seeing the first."""
    wanted = sampled(row.place, desk.assignment.id, desk.second_share)
    return is_blind(row, desk.held, viewer.grader, wanted)


def is_open(desk: Desk, viewer: Viewer, row: ReviewRow) -> bool:
    """Whether the viewer has something to decide here."""
    return row.state is not State.DONE or blind(desk, viewer, row)


def groups(
    desk: Desk, viewer: Viewer, student: str, criteria: Sequence[Criterion]
) -> Iterator[Group]:
    """The items of a student by criterion; none for a criterion that asks nothing of theirs."""
    for criterion in criteria:
        rows = desk.rows(student, criterion)
        if rows:
            said = _said_of_others(desk, viewer, student, criterion)
            items = [_item(desk, viewer, row, said.get(row.item.id, [])) for row in rows]
            yield Group(criterion, items, _findings(desk, viewer, student, criterion))


def _said_of_others(
    desk: Desk, viewer: Viewer, student: str, criterion: Criterion
) -> dict[str, list[ReviewRow]]:
    found: dict[str, list[ReviewRow]] = {}
    for other in desk.order(criterion, viewer):
        if other != student:
            for row in desk.rows(other, criterion):
                if row.state is State.DONE:
                    found.setdefault(row.item.id, []).append(row)
    return found


def _item(desk: Desk, viewer: Viewer, row: ReviewRow, others: Sequence[ReviewRow]) -> ItemView:
    comments = Counter(other.comment for other in others if other.comment.strip())
    levels = Counter(other.level for other in others)
    is_hidden = blind(desk, viewer, row)
    opinions = opinions_on(row, desk.held)
    return ItemView(
        row=hidden(row) if is_hidden else row,
        held=opinions.second if is_hidden else row.review,
        blind=is_hidden,
        opinions=opinions,
        reused=comments.most_common(WEB_REUSED_COMMENTS),
        spread=[(level, levels[level]) for level in row.item.levels],
        difference="" if is_hidden else desk.review.difference(row)[:WEB_SHOWN_DIFFERENCE],
    )


def _findings(
    desk: Desk, viewer: Viewer, student: str, criterion: Criterion
) -> list[tuple[FindingView, str]]:
    found = {finding.code: finding for finding in desk.results[student].findings}
    source = criterion.source.partition(".")[0]
    codes = dict.fromkeys((source, *criterion.requires, *criterion.facts))
    return [
        (shown(found[code]), found[code].note if viewer.names else "")
        for code in codes
        if code in found
    ]


def entry_view(desk: Desk, viewer: Viewer, entry: Review) -> dict[str, Any] | None:
    """An entry of the log as JSON for a page; None for what the viewer must not see, or no item."""
    item, _, mark = entry.place.item.partition("#")
    place = entry.place._replace(item=item)
    row = desk.row(place) if place.student in desk.results else None
    if row is None or mark == SETTLED[1:] or not desk.sees(viewer, place.student):
        return None
    is_second = mark == SECOND[1:]
    if is_second != blind(desk, viewer, row) and not (is_second and entry.grader == viewer.grader):
        return None
    return {
        "student": desk.alias(place.student),
        "criterion": place.criterion,
        "item": item,
        "opinion": "second" if is_second else "first",
        "level": entry.level,
        "comment": entry.comment,
        "grader": entry.grader,
        "at": entry.at,
        "seen": entry.position,
        "counts": entry.revision == row.revision,
    }


def start(desk: Desk, viewer: Viewer) -> dict[str, Any]:
    """Where the class stands: by criterion, by student, by grader, and second opinions."""
    students = desk.students(viewer)
    rows = [row for student in students for row in desk.rows(student)]
    every, done, stale, mine = (Counter[str]() for _ in range(4))
    graders = Counter[str]()
    for row in rows:
        for id in (row.criterion.id, row.student):
            every[id] += 1
            done[id] += row.state is State.DONE
            stale[id] += row.state is State.STALE
            mine[id] += is_open(desk, viewer, row)
        if row.state is State.DONE and row.review is not None:
            graders[row.review.grader] += 1

    def counts(id: str) -> dict[str, int]:
        return {
            "all": every[id],
            "done": done[id],
            "stale": stale[id],
            "open": every[id] - done[id] - stale[id],
            "mine": mine[id],
        }

    return {
        "criteria": [
            (c, counts(c.id), first_open(desk, viewer, c)) for c in desk.criteria if every[c.id]
        ],
        "students": [(s, counts(s)) for s in students],
        "graders": sorted(graders.items()),
        "total": {
            "all": len(rows),
            "done": graders.total(),
            "mine": sum(is_open(desk, viewer, row) for row in rows),
        },
        "waiting": [(s, f) for s, f in desk.review.not_taken_in() if desk.sees(viewer, s)],
        "second": _agreement(desk, rows),
    }


def _agreement(desk: Desk, rows: Sequence[ReviewRow]) -> dict[str, Any] | None:
    """How far second opinions agree with the first; None where nobody asks for any."""
    asked = [row for row in rows if sampled(row.place, desk.assignment.id, desk.second_share)]
    views = [opinions_on(row, desk.held) for row in rows if second_place(row.place) in desk.held]
    given = [view for view in views if view.second is not None]
    if not asked and not given:
        return None
    pairs = []
    for view in given:
        if view.second is not None and view.second.level is not None:
            history = desk.store.reviews.history(view.row.place)
            first = first_opinion(history, view.second)
            if first is not None:
                pairs.append((first, view.second.level))
    return {
        "asked": len(asked),
        "given": len(given),
        "same": sum(first == second for first, second in pairs),
        "pairs": len(pairs),
        "kappa": weighted_kappa(pairs),
        "differ": [view for view in given if view.differ],
    }


def first_open(
    desk: Desk, viewer: Viewer, criterion: Criterion | None, after: str | None = None
) -> str | None:
    """The next student with something to decide, in the order of the criterion or of the class."""
    order = desk.students(viewer) if criterion is None else desk.order(criterion, viewer)
    at = order.index(after) + 1 if after in order else 0
    for student in (*order[at:], *order[:at]):
        if student != after and any(
            is_open(desk, viewer, row) for row in desk.rows(student, criterion)
        ):
            return student
    return None


def neighbours(order: Sequence[str], student: str) -> tuple[str | None, str | None, int]:
    """The students before and after, and the student's number from 1."""
    at = order.index(student)
    return (
        order[at - 1] if at else None,
        order[at + 1] if at + 1 < len(order) else None,
        at + 1,
    )
