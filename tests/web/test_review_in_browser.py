"""Reviewing as a person does it: Chromium, the keyboard, and a server in a process of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import pytest
from support.browser import Watched, chromium
from support.review_pages import Served, decide_elsewhere, large_class, serve, small_class
from support.reviews import ANNA, BERT, CARL, DORA, grade_works

from grader.core.review import Level
from grader.course.output import STORE_NAME, read_results
from grader.course.review import reviewing
from grader.evidence.review import Place, Review
from grader.evidence.store import open_store
from grader.web.access import Role, open_access

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page

pytestmark = pytest.mark.live

EVIL: Final = "<script>alert(1)</script><img src=x onerror=alert(2)>"
DEPTH: Final = "#item-essay-depth"
STRUCTURE: Final = Path(__file__).with_name("structure.js").read_text("utf-8")
LEVELS: Final = {"1": Level.FULL, "2": Level.HALF, "3": Level.NONE}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as opened:
        yield opened


_WATCHED: Final[dict[BrowserContext, Watched]] = {}


def watched(page: Page) -> Watched:
    """What the page's browser asked for and complained of."""
    return _WATCHED[page.context]


def enter(browser: Browser, link: str, **options: Any) -> Page:
    """A page of a grader who opened the link; `watched` hears what it complains of."""
    own = Watched(browser, **options)
    page = own.context.new_page()
    _WATCHED[page.context] = own
    page.goto(link)
    page.wait_for_url(link.partition("enter#")[0])
    return page


def complaints(page: Page) -> list[str]:
    return watched(page).complaints


def latest(out: Path) -> dict[Place, Review]:
    with open_store(out / STORE_NAME) as store:
        return store.reviews.latest()


def work(page: Page, served: Served, out: Path, student: str, criterion: str = "essay") -> None:
    """Open one criterion of one student."""
    with reviewing(out) as review:
        order = list(dict.fromkeys(r.student for r in review.rows() if r.criterion.id == criterion))
    page.goto(f"{served.url}/criterion/{criterion}")
    page.locator(".order a").nth(order.index(student)).click()
    page.wait_for_selector(".item.current")


def fill(page: Page, asked: dict[str, str]) -> None:
    """Enter a regrade request, and wait until it is in the list."""
    page.fill("#new-student", asked["student"])
    page.select_option("#new-criterion", asked["criterion"])
    page.fill("#new-text", asked["text"])
    page.click("text=Enter >> nth=-1")
    page.wait_for_selector(f"article :text('{asked['text']}')")


def close_list(page: Page) -> None:
    """Close the list of keys by one."""
    page.keyboard.press("Escape")
    page.wait_for_selector("dialog:not([open])", state="attached")


def tab_to(page: Page, selector: str) -> None:
    """Press Tab until that has the focus."""
    for _ in range(400):
        page.keyboard.press("Tab")
        if page.evaluate("selector => document.activeElement.matches(selector)", selector):
            return
    pytest.fail(f"Tab never comes to {selector}")


def review_with_keys(page: Page) -> int:
    """All that is open, from the overview: the number of decisions."""
    decided = 0
    while page.locator("main a.button").count():
        tab_to(page, "main a.button")
        page.keyboard.press("Enter")
        page.wait_for_selector("body[data-page=work]")
        while "/criterion/" in page.url:
            items = page.locator(".item")
            for number in range(items.count()):
                two_levels = items.nth(number).locator(".level").count() == 2
                page.keyboard.press("13"[decided % 2] if two_levels else "123"[decided % 3])
                page.keyboard.press("ArrowDown")
                decided += 1
            before = page.url
            page.keyboard.press("g")
            page.wait_for_function("url => location.href !== url", arg=before)
            page.wait_for_load_state("load")
    return decided


@pytest.mark.live(sample=1, of="a class reviewed on a page")
def test_a_class_is_reviewed_with_keys_alone(browser: Browser, tmp_path: Path) -> None:
    out = small_class(tmp_path)
    with serve(out) as served:
        page = enter(browser, served.link)
        assert review_with_keys(page) == 19
        assert "Nothing is open: all 19 items are decided." in page.inner_text("main")
        assert complaints(page) == []
        own = urlsplit(served.url).netloc
        outside = [u for u in watched(page).requested if urlsplit(u).netloc not in (own, "")]
        assert outside == []
    with reviewing(out) as review:
        assert all(row.level for row in review.rows())
        assert len({row.level for row in review.rows()}) == 3
    # The server scored the class when it ended.
    assert all(result.total.points is not None for result in read_results(out, "judged"))


def test_two_hundred_students_by_twelve_items(browser: Browser, tmp_path: Path) -> None:
    out = large_class(tmp_path, 200)
    with serve(out) as served:
        page = enter(browser, served.link)
        assert review_with_keys(page) == 2400
        assert complaints(page) == []
    assert len(latest(out)) == 2400


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_class(tmp_path_factory.mktemp("class"))


@pytest.fixture(scope="module")
def served(out: Path) -> Iterator[Served]:
    with serve(out) as running:
        yield running


@pytest.fixture(scope="module")
def page(browser: Browser, served: Served) -> Page:
    return enter(browser, served.link)


def test_the_link_works_once(browser: Browser, served: Served, page: Page) -> None:
    other = Watched(browser).context.new_page()
    other.goto(served.link)
    other.wait_for_selector("text=used already")
    assert "#" not in other.url
    other.goto(served.url)
    assert other.url.endswith("/enter")
    page.goto("about:blank")
    page.goto(served.link)  # by who is in already
    page.wait_for_url(f"{served.url}/")
    watched(page).complaints.clear()  # the browser notes the refusal


def test_keys_do_what_the_list_says(page: Page, served: Served, out: Path) -> None:
    decide_elsewhere(out, (CARL, "essay", "depth"), "half", "Say why.")
    work(page, served, out, ANNA)
    page.keyboard.press("?")
    assert "next and previous student" in page.inner_text("dialog[open]")
    page.keyboard.press("2")  # does nothing as long as the list is open
    close_list(page)
    assert page.locator(f"{DEPTH} .level[aria-pressed=true]").count() == 0
    page.keyboard.press("1")
    page.wait_for_selector("#state.saved")
    assert page.inner_text("#state").startswith("Saved ")
    assert "30 of 40, 1 open" in page.inner_text(".sum")
    page.keyboard.press("n")
    assert page.input_value(f"{DEPTH} textarea") == "Say why."
    page.keyboard.press("p")
    assert page.input_value(f"{DEPTH} textarea") == ""
    page.keyboard.press("c")
    page.keyboard.type("123 jgu?")  # is text there
    page.keyboard.press("Escape")
    page.keyboard.press("ArrowDown")
    assert page.locator("#item-essay-clarity.current").count() == 1
    page.keyboard.press("2")  # it has no such level
    assert page.locator("#item-essay-clarity .level[aria-pressed=true]").count() == 0
    page.keyboard.press("3")
    page.wait_for_function("() => document.querySelector('.sum').textContent === '30 of 40'")
    page.keyboard.press("u")
    page.wait_for_function(
        "() => document.querySelector('.sum').textContent === '30 of 40, 1 open'"
    )
    page.wait_for_selector("#state.saved")
    before = page.url
    with reviewing(out) as review:
        order = list(dict.fromkeys(r.student for r in review.rows() if r.criterion.id == "essay"))
    at = order.index(ANNA)
    page.keyboard.press("j" if at == 0 else "k")
    page.wait_for_function("url => location.href !== url", arg=before)
    page.wait_for_selector(".item.current")
    page.keyboard.press("k" if at == 0 else "j")
    page.wait_for_url(before)
    held = latest(out)
    assert (held[Place(ANNA, "essay", "depth")].comment) == "123 jgu?"
    assert held[Place(ANNA, "essay", "clarity")].level is None


def test_one_switch_turns_single_keys_off(page: Page, served: Served, out: Path) -> None:
    work(page, served, out, DORA, "code")
    page.keyboard.press("?")
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Space")
    close_list(page)
    page.keyboard.press("1")
    page.keyboard.press("g")
    page.reload()
    page.keyboard.press("1")
    assert page.locator(".level[aria-pressed=true]").count() == 0
    tab_to(page, ".level[data-level=half]")  # and the keyboard is still enough
    page.keyboard.press("Enter")
    page.wait_for_selector("#state.saved")
    assert latest(out)[Place(DORA, "code", "readable")].level is Level.HALF
    tab_to(page, "#help")
    page.keyboard.press("Enter")
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Space")
    close_list(page)
    page.keyboard.press("0")
    page.wait_for_selector(".item:not(.decided)")


def test_reload_and_back_lose_nothing(page: Page, served: Served, out: Path) -> None:
    work(page, served, out, BERT, "thoughts")
    page.keyboard.press("c")
    page.keyboard.type("Not yet saved")
    page.reload()
    page.wait_for_selector("#state.saved")
    assert page.input_value("textarea") == "Not yet saved"
    page.keyboard.press("2")
    page.goto(f"{served.url}/")
    page.go_back()
    page.wait_for_selector(".level[data-level=half][aria-pressed=true]")
    assert page.input_value("textarea") == "Not yet saved"
    held = latest(out)[Place(BERT, "thoughts", "honest")]
    assert (held.level, held.comment) == (Level.HALF, "Not yet saved")


def test_two_graders_see_each_other_and_overwrite_nothing_unknowingly(
    browser: Browser, tmp_path: Path
) -> None:
    out = small_class(tmp_path)
    with open_access(out) as access:
        token = access.invite("tina", Role.TA)
    with serve(out, "--grader", "boss") as served:
        boss, tina = enter(browser, served.link), enter(browser, f"{served.url}/enter#{token}")
        for page in (boss, tina):
            work(page, served, out, ANNA)
        tina.keyboard.press("2")
        boss.wait_for_selector(f"{DEPTH} .level[data-level=half][aria-pressed=true]")
        assert "tina decided half" in boss.inner_text("#state")

        tina.context.set_offline(True)
        tina.keyboard.press("3")
        tina.wait_for_selector("#state.unsaved")
        assert "Not saved" in tina.inner_text("#state")
        boss.keyboard.press("1")
        boss.wait_for_selector("#state.saved")
        tina.context.set_offline(False)
        box = tina.wait_for_selector(f"{DEPTH} .conflict:not([hidden])")
        said = box.inner_text()
        assert "boss decided" in said
        assert "full" in said
        assert "Yours: none" in said
        place = Place(ANNA, "essay", "depth")
        assert latest(out)[place].level is Level.FULL
        tina.click("text=Keep theirs")
        tina.wait_for_selector(f"{DEPTH} .level[data-level=full][aria-pressed=true]")
        tina.keyboard.press("2")
        boss.wait_for_selector(f"{DEPTH} .level[data-level=half][aria-pressed=true]")
        with open_store(out / STORE_NAME) as store:
            history = [(entry.grader, entry.level) for entry in store.reviews.history(place)]
    assert history == [("tina", "half"), ("boss", "full"), ("tina", "half")]


def test_a_killed_server_loses_nothing_that_was_shown_as_saved(
    browser: Browser, tmp_path: Path
) -> None:
    """Of a hundred decisions the server dies with the 61st, and another goes on at its address."""
    out = small_class(tmp_path)
    place = Place(ANNA, "essay", "depth")
    shown: list[Level] = []

    def decide(page: Page, numbers: range) -> None:
        for number in numbers:
            key = "12"[number % 2]
            page.keyboard.press(key)
            page.wait_for_function(
                "level => document.querySelector('#item-essay-depth .by').textContent"
                ".startsWith(level) && document.querySelector('#state.saved')",
                arg=LEVELS[key].value,
            )
            shown.append(LEVELS[key])

    def logged() -> list[Level | None]:
        with open_store(out / STORE_NAME) as store:
            return [entry.level for entry in store.reviews.history(place)]

    with serve(out) as served:
        page = enter(browser, served.link)
        work(page, served, out, ANNA)
        decide(page, range(60))
        page.keyboard.press("1")
        served.kill()
        page.wait_for_selector("#state.unsaved")
    assert logged()[:60] == shown
    assert len(logged()) <= 61
    port = urlsplit(served.url).port
    with serve(out, port=port):  # what was not saved is, and nobody has to come in again
        page.wait_for_selector("#state.saved")
        shown.append(Level.FULL)
        decide(page, range(61, 100))
    assert logged() == shown
    assert len(shown) == 100


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_pages_fit_and_are_built_for_everybody(
    browser: Browser, page: Page, served: Served, out: Path, scheme: Any, width: int
) -> None:
    state = page.context.storage_state()
    own = Watched(
        browser, storage_state=state, viewport={"width": width, "height": 800}, color_scheme=scheme
    )
    look = own.context.new_page()
    look.goto(served.url)
    first = look.locator("main a.button").first.get_attribute("href")
    student = look.locator("a[href^='/student/']").first.get_attribute("href")
    asked = {"student": ANNA, "criterion": "essay", "text": f"Please look again, {width} {scheme}."}
    look.goto(f"{served.url}/requests")
    fill(look, asked)
    for path in ("/", "/enter", "/criterion/essay", first, student, "/requests", "/nowhere"):
        look.goto(served.url + path)
        look.wait_for_function("() => !document.querySelector('[data-facts] [role=status]')")
        assert look.evaluate("document.documentElement.scrollWidth <= innerWidth"), path
        look.keyboard.press("Tab")  # from now on the browser shows where the focus is
        assert look.evaluate(STRUCTURE) == [], path
        paper = look.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (paper == "rgb(255, 255, 255)") == (scheme == "light")
    look.goto(served.url + student)
    look.keyboard.press("?")
    look.wait_for_selector("dialog[open]")
    wrong = look.evaluate(STRUCTURE)
    assert [line for line in wrong if "takes no focus" not in line] == []  # behind the dialog
    expected = [text for text in own.complaints if "404" not in text]
    assert expected == []


FAULTS: Final = {
    '<p data-css="color: #999">pale</p>': "cannot be read",
    '<p data-css="background: #0b5cad; color: rgb(255 255 255 / 30%)">x</p>': "cannot be read",
    '<button data-css="height: 9px; min-height: 0">x</button><a href="/">y</a>': "too small",
    '<a href="/" data-css="outline: none">x</a>': "is not seen",
    '<div data-css="height: 20px; overflow-y: scroll"><br><br><br></div>': "scrolls without keys",
    "<h4>x</h4>": "heading jumps",
    "<li>x</li>": "item outside",
    '<div aria-lable="x">x</div>': "is not known",
    "<summary><button>x</button></summary>": "control in",
    "<details><summary>x</summary><input></details>": "without label",
    '<p id="main">x</p>': "twice",
}
ADDED: Final = """html => {
  document.querySelector("main").insertAdjacentHTML("beforeend", html);
  for (const node of document.querySelectorAll("[data-css]")) node.style.cssText = node.dataset.css;
}"""


@pytest.mark.parametrize("fault", FAULTS)
def test_what_is_looked_for_on_pages_is_found(page: Page, served: Served, fault: str) -> None:
    page.goto(served.url)
    page.keyboard.press("Tab")
    assert page.evaluate(STRUCTURE) == []
    page.evaluate(ADDED, fault)
    assert FAULTS[fault] in " ".join(page.evaluate(STRUCTURE))


def test_a_request_is_entered_and_answered_and_what_was_refused_stays(
    browser: Browser, tmp_path: Path
) -> None:
    out = small_class(tmp_path)
    with serve(out) as served:
        page = enter(browser, served.link)
        page.goto(f"{served.url}/requests")
        fill(page, {"student": ANNA, "criterion": "essay", "text": "Please read it again."})
        answer = page.locator("article form")
        answer.locator("select").select_option("declined")
        answer.locator("button").press("Enter")
        page.wait_for_selector("article .said:text('without a reason')")
        assert answer.locator("select").input_value() == "declined"
        answer.locator("textarea").fill("It says the same twice.")
        answer.locator("button").press("Enter")
        page.wait_for_selector(".lead:text('None is open: 1 answered.')")
        assert answer.locator("textarea").input_value().strip() == "It says the same twice."
        assert [text for text in complaints(page) if "422" not in text] == []
    assert "open request" not in (out / "class.html").read_text("utf-8")


def test_hostile_work_stays_text(browser: Browser, tmp_path: Path) -> None:
    out = small_class(tmp_path)
    lines = f"# {EVIL}\n\n\u202eturned\u202c " + "w" * 20_000 + "\n" + "line\n" * 10_000
    (tmp_path / "class" / ANNA / "analysis.md").write_text(lines)
    (tmp_path / "class" / ANNA / "program.py").write_text(f"'''{EVIL}'''\n")
    grade_works(tmp_path / "class", out)
    decide_elsewhere(out, (BERT, "essay", "depth"), "half", EVIL)
    with serve(out) as served:
        page = enter(browser, served.link, viewport={"width": 390, "height": 800})
        work(page, served, out, ANNA)
        page.wait_for_selector(".facts")
        assert EVIL in page.inner_text(".document .text")
        assert "\u202e" not in page.content()
        page.keyboard.press("n")
        assert page.input_value(f"{DEPTH} textarea") == EVIL
        page.keyboard.press("1")
        page.wait_for_selector("#state.saved")
        assert page.locator("main img, main script").count() == 0
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        page.click("text=Open the whole text")
        page.context.pages[-1].wait_for_load_state()
        assert EVIL in page.context.pages[-1].inner_text("body")
        assert complaints(page) == []
    assert latest(out)[Place(ANNA, "essay", "depth")].comment == EVIL
