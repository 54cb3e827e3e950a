"""The student's page: honest, complete, kind, and safe whatever a student submits."""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import replace

import pytest

from grader.assignment.rubric import total
from grader.core.nouns import Outcome, Status, Visibility
from grader.core.text import clean
from grader.report.feedback import before_after, feedback_html

NOTE = "NOTE-FOR-THE-INSTRUCTOR"
MANY_TROUBLES = {
    "SRC003": Outcome.FAIL,
    "LAY010": Outcome.FAIL,
    "INT001": Outcome.REVIEW,
    "EVL004": Outcome.ERROR,
    "SRC011": Outcome.FAIL,
}


def _words(page) -> str:
    return " ".join(page.text.split())


@pytest.fixture
def decided(assignment, make_result):
    """All points known: a person gave full marks wherever one decides."""
    result = make_result(outcomes={"SRC003": Outcome.FAIL})
    scores = tuple(
        replace(s, points=s.max_points, status=Status.FULLY_GRADED) if s.points is None else s
        for s in result.scores
    )
    return replace(
        result, scores=scores, total=total(assignment, scores), status=Status.FULLY_GRADED
    )


def test_known_points_stand_alone(assignment, decided, parse) -> None:
    words = _words(parse(feedback_html(assignment, decided)))
    assert f"{decided.total.lower:g} of 100" in words
    assert "still to be decided" not in words.lower()
    assert "Part 3: Hugging Face LoRA does not count" in words


def test_open_points_are_a_range_and_named_one_by_one(assignment, make_result, parse) -> None:
    result = make_result(outcomes=MANY_TROUBLES)
    words = _words(parse(feedback_html(assignment, result)))
    lower, upper = result.total.lower, result.total.upper
    assert f"Between {lower:g} and {upper:g} of 100" in words
    pending = words.split("Still to be decided")[1].split("Points and reasons")[0]
    for score in result.scores:
        assert (score.title in pending) == (score.points is None)
    assert "Grader fault: The grader could not run this" in pending


def test_a_finding_says_what_was_found_where_and_what_next(assignment, make_result, parse) -> None:
    page = parse(feedback_html(assignment, make_result(outcomes=MANY_TROUBLES)))
    words = _words(page)
    assert "✗ To fix: LoRA rank, alpha and target modules are chosen on purpose (SRC003)" in words
    assert "In huggingface_custom_lora.py, line 42." in words
    assert "Next: Do what helps with SRC003." in words
    assert "✓ Passed: Training leaves checkpoints and stops early, or says why not" in words


def test_what_costs_most_is_to_be_fixed_first(assignment, make_result, parse) -> None:
    words = _words(parse(feedback_html(assignment, make_result(outcomes=MANY_TROUBLES))))
    first = words.split("What to fix first")[1]
    assert first.index("LAY010") < first.index("SRC003")


def test_the_picture_has_its_numbers_in_words(assignment, make_result, parse) -> None:
    page = parse(feedback_html(assignment, make_result("s01", 0.83)))
    assert (
        "Base model about 0%, with your adapter about 80%, guessing about 30%, of 150 hidden "
        "questions. The adapter's 95 percent interval lies between 70% and 90%."
    ) in page.text
    words = _words(page)
    assert "✓ The gain over guessing is more than chance explains." in words
    assert "lower end of the gain's 95% interval. From +50% it earns 6." in words
    assert "Token F1 higher" in words
    assert "Speed about the same" in words
    assert "3% for the base model, 83% for the adapter" in words  # the student's own numbers


@pytest.mark.parametrize("after", [0.81, 0.8267])
def test_a_page_tells_no_count_of_hidden_answers(assignment, make_result, after: float) -> None:
    """But for the numbers that the student reported, shares that round alike give one page."""
    result = make_result("s01", after)
    findings = tuple(replace(f, measures={}) if f.code == "EVL004" else f for f in result.findings)
    pages = {
        feedback_html(assignment, replace(result, findings=some))
        for some in (findings, tuple(_nudged(f) for f in findings))
    }
    assert len(pages) == 1


def _nudged(finding):
    """With each measured number a little higher."""
    if not finding.code.startswith("EVL"):
        return finding
    more = {
        name: number + 0.004 if isinstance(number, float) else number
        for name, number in finding.measures.items()
    }
    return replace(finding, measures=more)


def test_a_gain_that_chance_explains_is_called_so(assignment, make_result, parse) -> None:
    words = _words(parse(feedback_html(assignment, make_result("s07", 0.25))))
    assert "✗ The gain over guessing is no more than chance explains." in words


@pytest.mark.parametrize("measure", ["before", "delta_low95", "n"])
def test_without_its_numbers_there_is_no_picture(assignment, make_result, measure: str) -> None:
    result = make_result()
    findings = tuple(
        replace(f, measures={**f.measures, measure: None}) if f.code == "EVL001" else f
        for f in result.findings
    )
    assert before_after(findings) is None
    page = feedback_html(assignment, replace(result, findings=findings))
    assert "questions it had not seen" not in page


def test_refused_work_is_told_kindly_and_alone(assignment, refused, parse, assert_harmless) -> None:
    page = parse(feedback_html(assignment, refused))
    assert_harmless(page)
    words = _words(page)
    assert "Your work could not be taken in" in words
    assert "Zip the folder again without links." in words
    assert "Points and reasons" not in words


def test_notes_and_what_only_the_instructor_may_see_stay_out(assignment, make_result) -> None:
    result = make_result(outcomes=MANY_TROUBLES)
    hidden = [f for f in result.findings if f.visibility is Visibility.INSTRUCTOR]
    assert "SRC011" in {f.code for f in hidden}
    page = feedback_html(assignment, result)
    assert NOTE not in page
    assert "s09-copy-of-s03" not in page
    assert "SRC011" not in page


def test_only_measures_on_the_list_are_shown(assignment, make_result) -> None:
    result = make_result()
    secret = {"answer_to_q017": "SECRET-TEXT", "secret_share": 0.123456}
    findings = tuple(replace(f, measures={**f.measures, **secret}) for f in result.findings)
    page = feedback_html(assignment, replace(result, findings=findings))
    assert "SECRET-TEXT" not in page
    assert "secret_share" not in page
    assert "0.123" not in page
    assert "Token F1" in page


def test_hostile_work_changes_nothing_but_words(
    assignment, hostile_class, parse, assert_harmless
) -> None:
    plain = None
    for result in hostile_class.results:
        text = feedback_html(assignment, result)
        page = parse(text)
        assert_harmless(page)
        assert len(text.encode()) < 190_000
        assert clean(result.student, 64) in page.text
        plain = plain or page.tags
        assert page.tags == plain


def test_the_style_is_the_one_that_the_policy_allows(assignment, make_result) -> None:
    page = feedback_html(assignment, make_result())
    style = re.search(r"<style>(.*?)</style>", page, re.S)
    assert style is not None
    digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    assert f"style-src-elem 'sha256-{digest}'; style-src-attr 'none'" in page


def test_a_plain_page_is_harmless_small_and_always_the_same(
    assignment, make_result, parse, assert_harmless
) -> None:
    result = make_result(outcomes=MANY_TROUBLES)
    page = feedback_html(assignment, result)
    assert_harmless(parse(page))
    assert page == feedback_html(assignment, result)
    assert len(page.encode()) < 80_000


def test_files_are_listed_with_size_and_hash(assignment, make_result, parse) -> None:
    result = make_result()
    many = [[f"data/{i}.jsonl", 2_000, "ab" * 32] for i in range(130)]
    words = _words(parse(feedback_html(assignment, result)))
    assert "3 files, 42.7 kB" in words
    assert "adapter/adapter_config.json 14.2 kB c0ffeec0ffee" in words
    more = replace(result, provenance={**result.provenance, "files": many})
    assert "30 more files are not listed." in feedback_html(assignment, more)


def test_the_footer_says_what_graded_it(assignment, make_result, parse) -> None:
    words = _words(parse(feedback_html(assignment, make_result())))
    digest = assignment.digest[:12]
    assert "llm-methods 1.0 · submission 3f9a3f9a3f9a · finegrade 0.1.0" in words
    assert f"rubric {digest}" in words


def test_extra_work_that_nobody_began_is_no_loss(
    extra_assignment, make_extra_result, parse
) -> None:
    result = make_extra_result("s01", left_out=("EVL003", "SRC010"))
    words = _words(parse(feedback_html(extra_assignment, result)))
    assert "Going further extra not attempted" in words
    assert "Going further: not attempted Voluntary: these points come on top of the 100" in words
    assert "It is faster not attempted" in words
    assert "extra points." not in words
    assert "Do what helps with EVL003" not in words


def test_extra_points_stand_beside_full_marks(extra_assignment, make_extra_result, parse) -> None:
    fates = {"SRC010": Outcome.FAIL}
    result = make_extra_result("s01", outcomes=fates)
    words = _words(parse(feedback_html(extra_assignment, result)))
    assert "3 of them are extra points." in words
    assert "Going further: 3 of 4 extra points" in words
    assert "It is safer 0 of 1" in words
    assert f"and {result.total.upper:g} of 100" in words
    partly = make_extra_result("s01", left_out=("SRC010",))
    assert "It is safer not attempted" in _words(parse(feedback_html(extra_assignment, partly)))


def test_extra_points_that_are_not_known_are_open(
    extra_assignment, make_extra_result, parse
) -> None:
    result = make_extra_result("s01", outcomes={"EVL003": Outcome.ERROR})
    words = _words(parse(feedback_html(extra_assignment, result)))
    assert "1 to 4 of them are extra points." in words
    assert "It is faster ? open of 3" in words
