"""Second opinions: asked of a share, given unseen, measured and settled."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.review_pages import BOSS, ESSAY, Site, site, small_class
from support.reviews import ANNA

from grader.core.review import Level
from grader.course.review import reviewing
from grader.course.review_progress import progress_of
from grader.evidence.review import Place
from grader.web.access import Role, Viewer
from grader.web.opinions import SECOND, sampled, weighted_kappa

OTHER = Viewer("other", Role.TA)
FULL, HALF, NONE = Level.FULL, Level.HALF, Level.NONE


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Site]:
    with site(small_class(tmp_path), second_share=1.0) as opened:
        yield opened


@pytest.mark.parametrize(
    ("pairs", "kappa"),
    [
        ([], None),
        ([(FULL, FULL)] * 3, None),
        ([(FULL, FULL), (NONE, NONE)], 1),
        ([(FULL, NONE), (NONE, FULL)], -1),
        ([(FULL, FULL), (FULL, NONE), (NONE, FULL), (NONE, NONE)], 0),
        # By hand: observed 3 of 10; expected (6·4 + 6·1·4 + 3·5 + 3·1 + 1·5·4 + 1·4) of 100.
        (
            [(FULL, FULL)] * 5 + [(FULL, HALF), (HALF, HALF), (HALF, HALF), (HALF, NONE)]
            + [(NONE, HALF)],
            1 - 0.3 / 0.9,
        ),
    ],
)  # fmt: skip
def test_weighted_kappa(pairs: list[tuple[Level, Level]], kappa: float | None) -> None:
    assert weighted_kappa(pairs) == (None if kappa is None else pytest.approx(kappa))


def test_the_sample_has_the_share_and_stays() -> None:
    places = [Place(f"student-{n}", "essay", f"item-{k}") for n in range(200) for k in range(12)]
    some = {place for place in places if sampled(place, "judged", 0.2)}
    assert 0.17 < len(some) / len(places) < 0.23
    assert some <= {place for place in places if sampled(place, "judged", 0.4)}
    assert not any(sampled(place, "judged", 0.0) for place in places)
    assert all(sampled(place, "judged", 1.0) for place in places)


def test_a_second_opinion_is_given_without_seeing_the_first(here: Site) -> None:
    boss, other = here.visitor(), here.visitor(OTHER)
    boss.decide(ESSAY, "full", comment="Splendid")
    alias = here.alias(ANNA)
    path = f"/criterion/essay/{alias}"
    page = other.get(path).text
    assert "A second opinion is asked here" in page
    assert 'data-opinion="second"' in page
    assert "Splendid" not in page
    assert 'aria-pressed="true"' not in page
    assert other.get("/changes?after=0").json()["entries"] == []
    assert "A second opinion is asked here" not in boss.get(path).text
    given = other.decide(ESSAY, "half", comment="So so", opinion="second", seen=0)
    assert given.status_code == 200
    assert here.desk.held[Place(*ESSAY)].level is Level.FULL  # the first stays in force
    page = other.get(path).text
    assert "Splendid" in page
    assert "said half" in page


def test_a_disagreement_waits_until_it_is_settled(here: Site) -> None:
    boss, other = here.visitor(), here.visitor(OTHER)
    boss.decide(ESSAY, "full")
    boss.decide((ANNA, "essay", "clarity"), "none")
    assert "To be settled" not in boss.get("/").text
    other.decide(ESSAY, "none", opinion="second", seen=0)
    other.decide((ANNA, "essay", "clarity"), "none", opinion="second", seen=0)
    page = boss.get("/").text
    assert "<strong>2 of 19</strong> given" in page
    assert "<strong>1 of 2</strong> the same level" in page
    assert "<strong>0.00</strong> Cohen&#39;s kappa" in page.replace("Cohen's", "Cohen&#39;s")
    assert "To be settled" in page
    work = f"/criterion/essay/{here.alias(ANNA)}"
    assert 'data-settles="true"' in boss.get(work).text
    boss.decide(ESSAY, "full", settles=True)  # stays as it was: also that is settled
    assert "To be settled" not in boss.get("/").text
    assert "Settled." in boss.get(work).text
    assert "<strong>1 of 2</strong> the same level" in boss.get("/").text


def test_settling_by_another_level_changes_what_is_in_force(here: Site) -> None:
    boss, other = here.visitor(), here.visitor(OTHER)
    boss.decide(ESSAY, "full")
    other.decide(ESSAY, "none", opinion="second", seen=0)
    boss.decide(ESSAY, "half", settles=True)
    assert here.desk.held[Place(*ESSAY)].level is Level.HALF
    page = boss.get("/").text
    assert "To be settled" not in page
    assert "<strong>0 of 1</strong> the same level" in page  # as they were given


def test_second_opinions_are_no_decisions_of_the_class(here: Site) -> None:
    here.visitor().decide(ESSAY, "full")
    here.visitor(OTHER).decide(ESSAY, "none", opinion="second", seen=0)
    held = here.desk.held[Place(*ESSAY[:2], ESSAY[2] + SECOND)]
    assert (held.grader, held.level) == ("other", Level.NONE)
    with reviewing(here.desk.out) as review:
        assert progress_of(review)["by_grader"] == {BOSS.grader: 1}
        assert len(review.rows()) == 19
