"""The review page for tests: within this process, in one of its own, and classes to look at."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import httpx
import yaml

from grader.core.result import Result
from grader.core.review import Level
from grader.course import grade
from grader.course.output import STAFF, STORE_NAME, STUDENTS, write_class, write_student
from grader.course.review import reviewing
from grader.evidence.store import open_store
from grader.intake.find import safe_name
from grader.web.access import Role, Viewer, open_access
from grader.web.app import create_app
from grader.web.desk import Desk
from support.reviews import ANNA, BERT, CARL, RUBRIC, decide, grade_works, write_works
from support.sim_apps import environment
from support.sim_processes import interrupted

BOSS: Final = Viewer("boss", Role.INSTRUCTOR)


class Site:
    """The application over one OUT, and visitors of it."""

    def __init__(self, out: Path, second_share: float = 0.0, *, loopback: bool = True) -> None:
        self._open = ExitStack()
        self.store = self._open.enter_context(open_store(out / STORE_NAME))
        self.access = self._open.enter_context(open_access(out))
        self.desk = Desk(out, self.store, second_share)
        self.app = create_app(self.desk, self.access, loopback=loopback)
        self._loop = asyncio.new_event_loop()

    def close(self) -> None:
        """End it."""
        self._loop.close()
        self._open.close()

    def visitor(self, viewer: Viewer | None = BOSS) -> Visitor:
        """A browser; of nobody, where no viewer is given."""
        visitor = Visitor(self)
        if viewer is not None:
            token = self.access.once(viewer)
            assert visitor.post("/enter", {"token": token}).status_code == 204
        return visitor

    def run(self, coroutine: Any) -> Any:
        """What the coroutine gives, in this thread."""
        return self._loop.run_until_complete(coroutine)

    def alias(self, student: str) -> str:
        """The anonymous id."""
        return self.desk.alias(student)


class Visitor:
    """A client that sends what browsers send."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.cookies = httpx.Cookies()

    def get(self, path: str, **headers: str) -> httpx.Response:
        """A page."""
        return self._send("GET", path, headers={"accept": "text/html", **headers})

    def post(self, path: str, value: Any, **headers: str) -> httpx.Response:
        """What our script sends."""
        own = {"sec-fetch-site": "same-origin", **headers}
        return self._send("POST", path, json=value, headers=own)

    def decide(
        self, place: tuple[str, str, str], chosen: str | None, **more: Any
    ) -> httpx.Response:
        """As the page does that was opened just now."""
        student, criterion, item = place
        row = next(row for row in self.site.desk.rows(student) if row.place == place)
        value = {
            "student": self.site.alias(student),
            "criterion": criterion,
            "item": item,
            "level": chosen,
            "comment": "",
            "seen": row.review.position if row.review else 0,
            "revision": row.revision,
        }
        return self.post("/decide", value | more)

    def _send(self, method: str, path: str, **options: Any) -> httpx.Response:
        async def send() -> httpx.Response:
            transport = httpx.ASGITransport(app=self.site.app, client=("127.0.0.1", 1))
            async with httpx.AsyncClient(
                transport=transport, base_url="http://127.0.0.1:8500", cookies=self.cookies
            ) as client:
                answer = await client.request(method, path, **options)
                self.cookies = client.cookies
                return answer

        return self.site.run(send())


@contextmanager
def site(out: Path, second_share: float = 0.0, *, loopback: bool = True) -> Iterator[Site]:
    """The application, closed at the end."""
    opened = Site(out, second_share, loopback=loopback)
    try:
        yield opened
    finally:
        opened.close()


def small_class(folder: Path) -> Path:
    """The OUT of a class of four."""
    grade_works(write_works(folder / "class"), folder / "out")
    return folder / "out"


def comparing_rubric(folder: Path) -> Path:
    """A rubric with twelve items, by which the analysis is a comparison; it knows cost numbers."""
    rubric = yaml.safe_load(RUBRIC.read_text())
    essay = next(one for one in rubric["criteria"] if one["id"] == "essay")
    depth = essay["items"][0]
    essay["items"] = [
        {**depth, "id": f"claim_{n}", "points": 5 if n < 7 else 2.5} for n in range(9)
    ]
    numbers = {"id": "cost_analysis_json", "title": "Numbers", "paths": ["cost_analysis.json"]}
    rubric["deliverables"].append(numbers | {"optional": True})
    path = folder / "large.yaml"
    path.write_text(yaml.safe_dump(rubric))
    return path


def large_class(folder: Path, students: int, analysis: str = "") -> Path:
    """The OUT of a class with twelve items a student: one submission under many names.

    With the text of an `analysis` each has as much to read as that, and all of it in common.
    """
    path = comparing_rubric(folder)
    work = write_works(folder / "class")
    for name in (BERT, CARL, "dora"):
        shutil.rmtree(work / name)
    if analysis:
        (work / ANNA / "analysis.md").write_text(analysis, encoding="utf-8")
    out = folder / "out"
    (one,) = grade_works(work, out, path).values()
    replicate(out, one, [f"student-{n}" for n in range(students)], path)
    return out


def replicate(out: Path, result: Result, students: list[str], rubric: Path) -> None:
    """Put these students into OUT in the place of the one that is there."""
    for folder in (STAFF, STUDENTS):
        shutil.rmtree(out / folder / safe_name(result.student))
    assignment = grade.load(rubric)
    for student in students:
        write_student(out, assignment, replace(result, student=student))
    write_class(out, assignment)


def decide_elsewhere(out: Path, place: tuple[str, str, str], level: str, comment: str = "") -> None:
    """A decision of somebody who uses no page."""
    with reviewing(out) as review:
        decide(review, place, Level(level), comment=comment, grader="table")


class Served:
    """A running `finegrade review --serve`."""

    def __init__(self, process: subprocess.Popen[str], link: str) -> None:
        self.process, self.link = process, link
        self.url = link.partition("/enter")[0]

    def kill(self) -> None:
        """As `kill -9` does it."""
        self.process.kill()
        self.process.wait()


@contextmanager
def serve(out: Path, *options: str, port: int = 0) -> Iterator[Served]:
    """The page in a process of its own; whatever becomes of the test, it ends."""
    log = out.with_name(f"{out.name}.log")
    command = [sys.executable, "-m", "grader.cli.main", "review", str(out), "--serve"]
    with log.open("ab") as errors:
        process = subprocess.Popen(
            [*command, f"--port={port}", *options],
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env=environment(),
        )
    try:
        assert process.stdout is not None
        link = process.stdout.readline().strip()
        assert "/enter" in link, log.read_text()
        yield Served(process, link)
    finally:
        interrupted(process)


ESSAY: Final = (ANNA, "essay", "depth")
