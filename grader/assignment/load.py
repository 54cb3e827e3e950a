"""An assignment: one YAML, read once, checked against its schema and for consistency.

That its checks, measures and evidence exist is checked where these are known (course/grade.py).
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Collection
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator

from grader.core.errors import AssignmentError
from grader.core.files import resource
from grader.core.nouns import (
    Assignment,
    Band,
    BaseModel,
    Budget,
    Category,
    CheckInstance,
    Criterion,
    DataSpec,
    Deliverable,
    EvidenceSpec,
    Length,
    Part,
)
from grader.core.review import Item

_SCHEMA = Path(__file__).parents[1] / "schemas" / "assignment.v1.json"


def assignment_ids() -> list[str]:
    """The ids of all assignments that ship."""
    return sorted(path.stem for path in resource("rubrics").glob("*.yaml"))


def load_assignment(reference: str | Path) -> Assignment:
    """The assignment of this id, or of this YAML file.

    Raises AssignmentError for an unknown id and for every fault in the file, naming the place.
    """
    if isinstance(reference, Path) or reference.endswith((".yaml", ".yml")):
        path = Path(reference)
    else:
        path = resource("rubrics") / f"{reference}.yaml"
        if not path.is_file():
            known = ", ".join(assignment_ids())
            raise AssignmentError(f"There is no assignment {reference!r}. Known: {known}.")
    try:
        data = path.read_bytes()
    except OSError as error:
        raise AssignmentError(f"{path}: cannot be read ({error.strerror}).") from error
    return read_assignment(data, str(path))


def read_assignment(data: bytes | str, name: str) -> Assignment:
    """The assignment that this YAML states; `name` is what messages call it.

    Raises AssignmentError for every fault in it, naming the place.
    """
    try:
        document = yaml.safe_load(data)
    except yaml.YAMLError as error:
        raise AssignmentError(f"{name}: not valid YAML. {error}") from error
    return _assignment(document, name)


def _assignment(document: Any, name: str) -> Assignment:
    schema = json.loads(_SCHEMA.read_text(encoding="utf-8"))
    faults = sorted(Draft202012Validator(schema).iter_errors(document), key=lambda e: e.json_path)
    if faults:
        lines = "; ".join(f"{fault.json_path}: {fault.message}" for fault in faults[:5])
        raise AssignmentError(f"{name}: {lines}")
    canonical = json.dumps(document, sort_keys=True, separators=(",", ":"))
    assignment = Assignment(
        id=document["id"],
        version=document["version"],
        title=document["title"],
        topic=document["topic"],
        base=BaseModel(**document["base"]),
        max_new_tokens=document["max_new_tokens"],
        pass_points=document["pass_points"],
        parts=tuple(Part(**part) for part in document["parts"]),
        deliverables=tuple(_deliverable(d) for d in document["deliverables"]),
        evidence=tuple(_evidence(e) for e in document["evidence"]),
        checks=tuple(_check(c) for c in document["checks"]),
        categories=tuple(Category(**category) for category in document["categories"]),
        criteria=tuple(_criterion(c) for c in document["criteria"]),
        digest=hashlib.sha256(canonical.encode()).hexdigest(),
        data=_data(document.get("data")),
        bases={id: BaseModel(**base) for id, base in document.get("bases", {}).items()},
        budget=Budget(**document.get("budget", {})),
    )
    problems = _inconsistencies(assignment)
    if problems:
        raise AssignmentError(f"{name}: {'; '.join(problems)}")
    return assignment


def _deliverable(d: dict[str, Any]) -> Deliverable:
    length = d.get("length")
    return Deliverable(
        id=d["id"],
        title=d["title"],
        paths=tuple(d["paths"]),
        part=d.get("part"),
        optional=d.get("optional", False),
        base=d.get("base"),
        other_bases=tuple(d.get("other_bases", ())),
        length=Length(length["text"], tuple(length["words"])) if length is not None else None,
    )


def _check(c: str | dict[str, Any]) -> CheckInstance:
    if isinstance(c, str):
        return CheckInstance(c)
    bindings = {
        role: (bound,) if isinstance(bound, str) else tuple(bound)
        for role, bound in c.get("with", {}).items()
    }
    return CheckInstance(c["code"], c.get("as"), bindings, c.get("title"))


def _evidence(e: dict[str, Any]) -> EvidenceSpec:
    settings = {name: value for name, value in e.items() if name not in ("id", "kind", "needs")}
    return EvidenceSpec(e["id"], e["kind"], tuple(e.get("needs", ())), settings)


def _data(d: dict[str, Any] | None) -> DataSpec | None:
    if d is None:
        return None
    return DataSpec(d["deliverable"], d["kind"], d["min_examples"], tuple(d.get("errors", ())))


def _criterion(c: dict[str, Any]) -> Criterion:
    bands = sorted(
        (Band(b["at_least"], b["points"]) for b in c.get("bands", ())), key=lambda b: b.at_least
    )
    return Criterion(
        id=c["id"],
        title=c["title"],
        category=c["category"],
        points=c["points"],
        source=c["from"],
        part=c.get("part"),
        bands=tuple(bands),
        requires=tuple(c.get("requires", ())),
        items=tuple(Item(**item) for item in c.get("items", ())),
        judges=tuple(c.get("judges", ())),
        facts=tuple(c.get("facts", ())),
    )


def _inconsistencies(a: Assignment) -> list[str]:
    """Every rule that a schema cannot state and this assignment breaks, in words."""
    problems: list[str] = []
    for kind, ids in (
        ("part", [p.id for p in a.parts]),
        ("deliverable", [d.id for d in a.deliverables]),
        ("evidence", [e.id for e in a.evidence]),
        ("check", [c.ref for c in a.checks]),
        ("category", [c.id for c in a.categories]),
        ("criterion", [c.id for c in a.criteria]),
    ):
        problems += [f"{kind} {id!r} appears twice" for id, n in Counter(ids).items() if n > 1]
    parts = {p.id for p in a.parts}
    checks = {c.ref for c in a.checks}
    deliverables = {d.id for d in a.deliverables}
    categories = {c.id: c for c in a.categories}
    problems += [
        f"{id!r} names part {part!r}, which is not in parts"
        for id, part in [(x.id, x.part) for x in a.deliverables]
        + [(x.id, x.part) for x in a.criteria]
        if part is not None and part not in parts
    ]
    problems += [
        f"deliverable {d.id!r} is optional, so it belongs to no part"
        for d in a.deliverables
        if d.optional and d.part is not None
    ]
    problems += [
        f"deliverable {d.id!r} names base {base!r}, which is not in bases"
        for d in a.deliverables
        for base in (d.base, *d.other_bases)
        if base is not None and base not in a.bases
    ]
    if a.data is not None and a.data.deliverable not in deliverables:
        problems.append(f"data names {a.data.deliverable!r}, which is not a deliverable")
    for c in a.criteria:
        if c.category not in categories:
            problems.append(f"criterion {c.id!r} names category {c.category!r}, which is unknown")
        if ("." in c.source) != bool(c.bands):
            problems.append(f"criterion {c.id!r}: bands and 'from: CODE.measure' go together")
        if c.bands and max(band.points for band in c.bands) != c.points:
            problems.append(
                f"criterion {c.id!r}: its best band must be worth its {c.points} points"
            )
        if [b.points for b in c.bands] != sorted(b.points for b in c.bands):
            problems.append(f"criterion {c.id!r}: a higher band must not earn fewer points")
        problems += _wrong_items(c, deliverables)
        source = [] if c.source == "review" else [c.source.split(".")[0]]
        codes = [*c.requires, *c.facts, *source]
        unlisted = [code for code in codes if code not in checks]
        problems += [
            f"criterion {c.id!r} reads {code}, which is not in checks" for code in unlisted
        ]
    problems += [
        f"evidence {e.id!r} needs {code}, which is not in checks"
        for e in a.evidence
        for code in e.needs
        if code not in checks
    ]
    problems += _wrong_sums(a)
    return problems


def _wrong_items(c: Criterion, deliverables: Collection[str]) -> list[str]:
    """What is wrong with what a person is to judge."""
    if (c.source == "review") != bool(c.items):
        return [f"criterion {c.id!r}: items and 'from: review' go together"]
    if c.judges and not c.items:
        return [f"criterion {c.id!r} has no items, so it judges nothing"]
    problems = [
        f"criterion {c.id!r} judges {id!r}, which is not a deliverable"
        for id in c.judges
        if id not in deliverables
    ]
    problems += [
        f"item {id!r} of criterion {c.id!r} appears twice"
        for id, n in Counter(item.id for item in c.items).items()
        if n > 1
    ]
    worth = sum(item.points for item in c.items)
    if c.items and abs(worth - c.points) > 1e-9:
        problems.append(
            f"criterion {c.id!r} is worth {c.points} points, but its items add up to {worth:g}"
        )
    return problems


def _wrong_sums(a: Assignment) -> list[str]:
    problems = []
    for category in a.categories:
        mine = [c for c in a.criteria if c.category == category.id]
        if category.best_parts is None:
            reachable = sum(c.points for c in mine)
        else:
            by_part: dict[str | None, float] = {}
            for c in mine:
                by_part[c.part] = by_part.get(c.part, 0) + c.points
            if None in by_part:
                problems.append(f"category {category.id!r} counts parts; each criterion needs one")
            reachable = sum(sorted(by_part.values(), reverse=True)[: category.best_parts])
        if abs(reachable - category.points) > 1e-9:
            problems.append(
                f"category {category.id!r} is worth {category.points} points, "
                f"but its criteria add up to {reachable}"
            )
    if abs(a.max_points - 100) > 1e-9:
        problems.append(
            f"the categories add up to {a.max_points} points without extra ones, not 100"
        )
    return problems
