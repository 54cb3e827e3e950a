"""The instructor's page: where the class stands, what is hard, and who needs attention."""

from __future__ import annotations

from dataclasses import replace

import pytest

from grader.core.nouns import Outcome, Severity
from grader.report.attention import needs_attention
from grader.report.classroom import class_html


def _words(page) -> str:
    return " ".join(page.text.split())


@pytest.mark.parametrize(("students", "limit"), [(0, 100_000), (1, 150_000), (16, 200_000)])
def test_a_class_of_any_size_has_a_harmless_page(
    make_class, parse, assert_harmless, students: int, limit: int
) -> None:
    text = class_html(make_class(students))
    assert_harmless(parse(text))
    assert len(text.encode()) < limit


def test_a_large_class_still_fits_a_small_page(make_class, parse, assert_harmless) -> None:
    text = class_html(make_class(300))
    assert_harmless(parse(text))
    assert len(text.encode()) < 450_000


def test_the_same_class_always_gives_the_same_page(make_class) -> None:
    report = make_class(6)
    turned = replace(report, results=tuple(reversed(report.results)))
    assert class_html(report) == class_html(turned)


def test_the_summary_counts_and_keeps_unknown_points_a_range(make_class, parse) -> None:
    words = _words(parse(class_html(make_class(16))))
    assert "16 students 0 graded 15 pending 1 not taken in" in words
    assert "0 to 15 at 50 or more (pass)" in words


def test_who_needs_attention_is_said_with_reason_note_and_link(
    assignment, make_class, make_result, refused, parse
) -> None:
    report = make_class(0)
    everyone = (
        refused,
        make_result("s09", outcomes={"INT001": Outcome.REVIEW}),
        make_result("s10", outcomes={"EVL003": Outcome.ERROR}),
        make_result("s11", 0.2),
        make_result("s12", outcomes={"DOC001": Outcome.PASS}),
        make_result("s13", outcomes={"LAY040": Outcome.REVIEW}),
    )
    folders = {result.student: f"safe {i}/x" for i, result in enumerate(everyone)}
    page = parse(class_html(replace(report, results=everyone, folders=folders)))
    attention = _words(page).split("Students who need attention")[1].split("Points")[0]
    kinds = [
        "could not be taken in",
        "grader failed",
        "Possible copies",
        "To be decided by",
        "No improvement",
    ]
    places = [attention.index(kind) for kind in kinds]
    assert places == sorted(places)
    assert "same adapter as s09-copy-of-s03" in attention
    assert "s12" not in attention
    assert "students/safe%201%2Fx/feedback.html" in page.all("href")


def test_a_student_without_a_folder_has_no_link(make_class, make_result, parse) -> None:
    page = parse(class_html(replace(make_class(0), results=(make_result("s01"),), folders={})))
    assert "s01" in page.text
    assert not [href for href in page.all("href") if "students/" in href]


def test_checks_are_tallied_the_most_failed_first(make_class, make_result, parse) -> None:
    fates = [{"SRC003": Outcome.FAIL}, {"SRC003": Outcome.FAIL, "SRC006": Outcome.FAIL}, {}]
    results = tuple(make_result(f"s{i}", outcomes=fate) for i, fate in enumerate(fates))
    words = _words(parse(class_html(replace(make_class(0), results=results))))
    tallies = words.split("Checks that failed or are open")[1].split("Criteria")[0]
    assert "on purpose 2 of 3" in tallies
    assert tallies.index("SRC003") < tallies.index("SRC006")
    assert "No student who was looked at failed: ADP001" in tallies


def test_averages_are_over_known_points_only(make_class, make_result, parse) -> None:
    results = (make_result("s1", outcomes={"SRC003": Outcome.FAIL}), make_result("s2"))
    words = _words(parse(class_html(replace(make_class(0), results=results))))
    criteria = words.split("Mean over the students")[1]
    assert "LoRA hyperparameters are chosen Functionality 0.5 of 1 0" in criteria
    assert "Meaningful improvements on the examples Innovation not known of 15 2" in criteria


def test_the_mean_of_extra_points_is_over_those_who_tried(
    extra_assignment, make_class, make_extra_result, parse
) -> None:
    results = (
        make_extra_result("s1", left_out=("EVL003", "SRC010")),
        make_extra_result("s2", left_out=("SRC010",)),
    )
    report = replace(make_class(0), assignment=extra_assignment, results=results)
    words = _words(parse(class_html(report)))
    assert "of extra points, over those who tried." in words
    assert "It is faster Going further (extra) 3 of 3" in words
    assert "It is safer Going further (extra) nobody tried of 1" in words


def test_questions_stand_hardest_first_with_their_texts(make_class, parse) -> None:
    report = replace(
        make_class(1),
        question_shares={"q1": 0.9, "q2": 0.1},
        question_texts={"q1": "Easy one?", "q2": "Hard one?"},
    )
    words = _words(parse(class_html(report)))
    assert words.index("q2 Hard one? 10%") < words.index("q1 Easy one? 90%")
    without = class_html(replace(report, question_shares={}, question_texts={}))
    assert "Hidden questions" not in without


def test_hostile_names_and_texts_stay_text(hostile_class, parse, assert_harmless) -> None:
    page = parse(class_html(hostile_class))
    assert_harmless(page)
    assert "<script>alert(1)</script>" in page.text
    assert "{{ 7 * 7 }}" in page.text


@pytest.mark.parametrize("severity", [Severity.NOTE, Severity.ERROR])
def test_a_fact_for_whoever_judges_is_no_open_question(
    assignment, make_result, severity: Severity
) -> None:
    result = make_result(outcomes={"DOC201": Outcome.REVIEW})
    findings = tuple(
        replace(f, severity=severity) if f.code == "DOC201" else f for f in result.findings
    )
    kinds = needs_attention(assignment, [replace(result, findings=findings)])
    asked = [case.code for kind in kinds for case in kind.cases]
    assert ("DOC201" in asked) == (severity is Severity.ERROR)
