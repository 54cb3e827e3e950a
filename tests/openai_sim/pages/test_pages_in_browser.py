"""The pages as a person meets them: Chromium, and a service in a process of its own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

import openai
import pytest
from support.browser import Watched, chromium
from support.sim_processes import simulate
from support.sim_services import MODEL, chat_file, upload

from grader.openai_sim.pages.pages import loss

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.live

_EVIL: Final = "<img src=x onerror=alert(1)><script>alert(2)</script>"
_NAME: Final = "<img src=x onerror=alert(3)>.jsonl"
_STEPS: Final = 24  # of a job: two epochs of twelve examples, one at a time


class Scene:
    """A service whose one job was watched from the empty page to its end."""

    def __init__(self, url: str, browser: Browser, client: openai.OpenAI) -> None:
        self.url = url
        self.browser = browser
        self.client = client
        self.watched: list[Watched] = []
        self.page = self.look()
        self.page.goto(url)
        self.empty = self.page.inner_text("main")
        self.page.evaluate("window.loadedOnce = true")
        self._work()

    def look(self, **options: Any) -> Page:
        """A new page, in a context of its own, whose complaints are heard."""
        # On a machine of several people the page wants the key; elsewhere nobody asks for it.
        key = {"username": "any", "password": self.client.api_key}
        self.watched.append(Watched(self.browser, http_credentials=key, **options))
        return self.watched[-1].context.new_page()

    def _work(self) -> None:
        """Create a job twice behind another; the second is trained once both are gone."""
        file_id = upload(self.client, chat_file(12), name=_NAME)
        asked = {
            "model": MODEL,
            "training_file": file_id,
            "validation_file": file_id,
            "suffix": _EVIL,
        }
        jobs = self.client.fine_tuning.jobs
        # Trained for so long that the others wait until it is cancelled.
        before = jobs.create(**asked, hyperparameters={"n_epochs": 50, "batch_size": 1})
        numbers = {"n_epochs": 2, "batch_size": 1}
        first, second = (jobs.create(**asked, hyperparameters=numbers) for _ in range(2))
        self.job = second.id
        self.page.wait_for_selector(f"#{self.job} .chip.queued")
        for job in (first, before):
            jobs.cancel(job.id)
            self.page.wait_for_selector(f"#{job.id} .chip.cancelled")
        self.page.wait_for_selector(f"#{self.job} .chip.succeeded")
        self.model = jobs.retrieve(self.job).fine_tuned_model


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    home = tmp_path_factory.mktemp("pages") / "home"
    with simulate(home) as running, running.client() as client, chromium() as browser:
        yield Scene(running.url.removesuffix("/v1"), browser, client)


def test_the_empty_page_says_how_to_begin(scene: Scene) -> None:
    assert f"export OPENAI_BASE_URL={scene.url}/v1" in scene.empty
    assert "export OPENAI_API_KEY=" in scene.empty
    assert "client.fine_tuning.jobs.create(" in scene.empty


def test_a_queued_job_succeeds_before_the_eyes_of_who_looks(scene: Scene) -> None:
    page = scene.page
    assert page.evaluate("window.loadedOnce")  # the chips changed without a reload
    card = page.locator(f"#{scene.job}")
    assert card.locator("progress").count() == 0
    assert f"{_STEPS} steps" in card.inner_text()
    assert page.inner_text("#counts") == "1 succeeded, 2 cancelled"
    assert scene.model in page.inner_text("#models")


def test_the_curve_has_a_point_a_step_and_the_last_loss(scene: Scene) -> None:
    card = scene.page.locator(f"#{scene.job}")
    lines = card.locator("polyline.train")
    points = (lines.get_attribute("points") or "").split()
    assert len(points) == _STEPS
    told = scene.client.fine_tuning.jobs.list_events(scene.job, limit=100).data
    [last] = [event.data for event in told if event.data and event.data["step"] == _STEPS]
    assert f"training {loss(last['train_loss'])}" in card.locator("figcaption").inner_text()
    assert f"validation {loss(last['full_valid_loss'])}" in card.locator("figcaption").inner_text()
    assert card.locator("circle.saved").count() == 2
    box = lines.bounding_box()
    assert box is not None
    assert box["width"] > 200
    assert box["height"] > 20


@pytest.mark.parametrize("scripts", [True, False])
def test_base_and_tuned_answer_side_by_side(scene: Scene, scripts: bool) -> None:
    page = scene.look(java_script_enabled=scripts)
    page.goto(scene.url)
    page.click(f"#{scene.job} a.button")
    assert page.input_value("#model") == scene.model
    assert page.input_value("#system") == "Answer shortly."  # as in the file
    page.fill("#question", "What is 3 and 4?")
    page.click("main button")
    said = page.locator(".answer").all_inner_texts()
    assert [MODEL in said[0], scene.model in said[1]] == [True, True]
    assert all("tokens in" in text and " ms" in text for text in said)
    assert page.inner_text("#reference") == "7"
    assert page.input_value("#question") == "What is 3 and 4?"
    if scripts:  # also when the page is come to anew
        page.click("nav >> text=Journal")
        page.click("nav >> text=Try")
        assert page.input_value("#question") == "What is 3 and 4?"


def test_the_journal_tells_duplicates_and_polls(scene: Scene) -> None:
    for _ in range(3):
        scene.client.fine_tuning.jobs.retrieve(scene.job)
    with pytest.raises(openai.NotFoundError):
        scene.client.files.retrieve("file-lost")
    page = scene.look(viewport={"width": 390, "height": 800})
    page.goto(f"{scene.url}/journal")
    assert "3 jobs created, 1 duplicate" in " ".join(page.inner_text(".tiles").split())
    assert scene.job in page.inner_text("#glance .error")
    polls = page.locator("svg.strip[aria-label^='Polls of jobs']")
    assert polls.locator("rect").count() >= 1
    shown = page.locator(".requests tbody tr")
    assert shown.count() > 5
    page.fill("[name=path]", "file-lost")
    page.select_option("[name=status]", "refused")
    page.click("main button")
    assert {"404" in text for text in shown.all_inner_texts()} == {True}


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1200])
def test_pages_fit_their_window(scene: Scene, scheme: Any, width: int) -> None:
    page = scene.look(viewport={"width": width, "height": 800}, color_scheme=scheme)
    asked = f"/try?model={scene.model}&question={'long' * 99}"
    for path in ("/", asked, "/journal", f"/files/{_training_file(scene)}"):
        page.goto(scene.url + path)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), path
        paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (paper == "rgb(255, 255, 255)") == (scheme == "light")


def test_text_of_students_is_only_text(scene: Scene) -> None:
    page = scene.look()
    page.goto(f"{scene.url}/try?model={_EVIL}&question={_EVIL}&system={_EVIL}")
    assert page.input_value("#question") == _EVIL
    for path in ("/", f"/journal?path={_EVIL}", f"/files/{_training_file(scene)}"):
        page.goto(scene.url + path)
        assert page.locator("img, main script").count() == 0
    assert page.inner_text("h1") == _NAME
    page.goto(scene.url)
    assert _EVIL in page.inner_text(f"#{scene.job} h2")
    _no_complaints(scene)


def test_findings_are_one_click_away(scene: Scene) -> None:
    bad = upload(scene.client, chat_file(12, bad={3: {"messages": [{"role": "human"}]}}))
    page = scene.look()
    page.goto(scene.url)
    page.click(f"#files a[href='/files/{bad}']")
    assert "human" in page.inner_text("table")
    assert page.locator("td[data-label=Line]").first.inner_text() == "3"


def test_the_pages_complain_of_nothing_and_ask_nobody_else(scene: Scene) -> None:
    _no_complaints(scene)


def _no_complaints(scene: Scene) -> None:
    for watched in scene.watched:
        assert watched.complaints == []
        outside = [url for url in watched.requested if not url.startswith((scene.url, "data:"))]
        assert outside == []


def _training_file(scene: Scene) -> str:
    return scene.client.fine_tuning.jobs.retrieve(scene.job).training_file
