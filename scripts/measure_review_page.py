"""How fast the review page is: the first paint of its pages, and a decision until it is saved.

Usage: python scripts/measure_review_page.py [STUDENTS]     (200 without it)

A class with twelve items a student and an analysis of the solution's length, in Chromium and a
server of its own on loopback. Times are wall time in milliseconds: median, 90th percentile, most.
The first paint is what the browser itself says of it (First Contentful Paint); a decision is
measured from the key to the word "Saved" on the page, which follows the commit.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from support.browser import Watched, chromium
from support.review_pages import large_class, serve

if TYPE_CHECKING:
    from playwright.sync_api import Page

ROOT: Final = Path(__file__).resolve().parents[1]
LOADS: Final = 15
DECISIONS: Final = 60
GOALS: Final = {"paint": 300, "saved": 100}
PAINT: Final = "() => performance.getEntriesByName('first-contentful-paint')[0]?.startTime"
SAVED: Final = """key => new Promise((done) => {
  const by = document.querySelector(".item.current .by");
  const began = performance.now();
  const watch = new MutationObserver(() => {
    if (by.textContent === before) return;
    watch.disconnect();
    done(performance.now() - began);
  });
  const before = by.textContent;
  watch.observe(by, { childList: true, characterData: true, subtree: true });
  document.activeElement.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
})"""


def main() -> None:
    """Measure, and print a line for each page."""
    students = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    text = (ROOT / "solutions/llm-methods/comparative_analysis.md").read_text("utf-8")
    with tempfile.TemporaryDirectory() as folder, chromium() as browser:
        out = large_class(Path(folder), students, text)
        with serve(out) as served:
            page = Watched(browser, viewport={"width": 1280, "height": 900}).context.new_page()
            page.goto(served.link)
            page.wait_for_url(f"{served.url}/")
            print(f"{students} students, 12 items each; ms: median, 90th percentile, most")
            print_line("first paint: overview", GOALS["paint"], paints(page, [served.url]))
            page.goto(f"{served.url}/criterion/essay")
            students_of = [a.get_attribute("href") or "" for a in page.locator(".order a").all()]
            links = [f"{served.url}{href}" for href in students_of[:LOADS]]
            print_line("first paint: a criterion", GOALS["paint"], paints(page, [page.url]))
            print_line("first paint: a student", GOALS["paint"], paints(page, links))
            page.goto(links[0])
            page.wait_for_selector(".facts")
            print_line("facts beside the text", None, facts(page, links))
            page.wait_for_selector(".item.current")
            took = [page.evaluate(SAVED, "12"[n % 2]) for n in range(DECISIONS)]
            print_line("a decision, until saved", GOALS["saved"], took)


def paints(page: Page, links: Sequence[str]) -> list[float]:
    """The first paint of these pages, `LOADS` times in all."""
    found = []
    for number in range(LOADS):
        page.goto(links[number % len(links)])
        found.append(page.wait_for_function(PAINT).json_value())
    return found


def facts(page: Page, links: Sequence[str]) -> Iterator[float]:
    """From the start of each page until the facts of its text stand there."""
    for link in links:
        page.goto(link)
        page.wait_for_selector(".facts")
        yield page.evaluate("performance.now()")


def print_line(what: str, goal: int | None, times: Sequence[float] | Iterator[float]) -> None:
    """One row of the table."""
    every = sorted(times)
    ninety = every[min(len(every) - 1, 9 * len(every) // 10)]
    wanted = "" if goal is None else f"   goal: {goal}"
    print(
        f"{what:26} {statistics.median(every):8.0f} {ninety:8.0f} {every[-1]:8.0f}{wanted}",
        flush=True,
    )


if __name__ == "__main__":
    main()
