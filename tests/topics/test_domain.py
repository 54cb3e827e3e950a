"""What students' own pairs are about, whether they are true, and what else can be asked."""

from __future__ import annotations

import random

import pytest

from grader.topics import get_topic
from grader.topics.domain import domain_of, place, plural, questions_about, states_fact

TOPIC = get_topic("educational-qa")
PUBLIC = [e for split in ("train", "validation", "test") for e in TOPIC.public(split)]  # type: ignore[arg-type]


def about(question: str, answer: str) -> tuple[str, str, str | None, bool | None] | None:
    found = place(TOPIC.name, question, answer)
    return None if found is None else (found.group, found.subject, found.kind, found.agrees)


def test_the_topics_own_questions_are_recognised_and_true() -> None:
    for example in [*PUBLIC, *TOPIC.hidden(3, 200)]:
        group = TOPIC.groups[example.subject]
        assert about(example.question, example.answer) == (
            group,
            example.subject,
            example.kind,
            True,
        )


def test_answers_that_belong_elsewhere_are_found() -> None:
    rng = random.Random(1)
    taken_for_true = 0
    for example in PUBLIC:
        others = [e.answer for e in PUBLIC if e.kind == example.kind and e.answer != example.answer]
        found = about(example.question, rng.choice(others))
        assert found is not None
        taken_for_true += found[3] is not False
    assert taken_for_true <= 5  # names that are nearly the same, as of spellings


@pytest.mark.parametrize(
    ("question", "answer", "agrees"),
    [
        ("Capital of France?", "paris.", True),
        ("What is the capital of France?", "The capital of France is Paris.", True),
        ("What is the capital of France?", "The capital of France is Berlin.", False),
        ("What is the capital of France?", "Lyon", False),
        ("What is the capital of France?", "A city on a river, known to all the world", None),
        ("What money do they use in Japan?", "The Japanese yen", True),
        ("What money do they use in Japan?", "", False),
        ("Chemical symbol for gold?", "AU", True),
        ("Chemical symbol for gold?", "Ag", False),
        ("What is the atomic number of gold?", "Seventy-nine, I believe", True),
        ("What is the atomic number of gold?", "79 protons", True),
        ("What is the atomic number of gold?", "78", False),
        ("What are young cats called?", "Kittens", True),
        ("Which tongue is spoken in Brazil?", "Portuguese", True),
        ("Which country has Paris as its capital?", "France", True),
        ("Which country has Paris as its capital?", "Germany", False),
        ("Name a country that uses the euro", "Spain", True),
        ("On which continent is France?", "Africa Asia Europe", None),
        ("Which sea borders Croatia?", "Adriatic", None),
        ("What is the capital of Australia?", "Canberra", None),  # the topic has no Australia
    ],
)
def test_an_answer_is_judged_by_what_it_says(
    question: str, answer: str, agrees: bool | None
) -> None:
    found = about(question, answer)
    assert found is not None
    assert found[3] is agrees


def test_a_name_of_two_subjects_is_told_apart_by_the_question() -> None:
    assert about("What is a baby turkey called?", "poult") == ("animal", "turkey", "young", True)
    assert about("What is the capital of Turkey?", "Ankara") == ("country", "", "capital", None)


@pytest.mark.parametrize("question", ["How do I boil an egg?", "", "?", "Who wrote Emma?"])
def test_what_the_topic_knows_nothing_of_is_about_nothing(question: str) -> None:
    assert about(question, "Ten minutes") is None


def test_a_domain_is_a_group_of_subjects_whatever_is_asked_of_them() -> None:
    def domain(*kinds: str, strays: int = 0):  # type: ignore[no-untyped-def]
        pairs = [e for e in TOPIC.public("train") if e.kind in kinds][:18]
        placed = [place(TOPIC.name, e.question, e.answer) for e in pairs]
        return domain_of([*placed, *[None] * strays])

    capitals, countries = domain("capital"), domain("capital", "currency", "language")
    assert capitals.group == countries.group == "country"
    assert set(capitals.kinds) == {"capital"}
    assert len(countries.kinds) == 3
    for found, group, is_one in (
        (capitals, "country", True),
        (countries, "country", True),
        (domain("capital", strays=4), "country", True),
        (domain("capital", strays=5), "country", False),
        (domain_of([None] * 18), None, True),
        (domain_of([]), None, False),
    ):
        assert (found.group, found.is_one) == (group, is_one)
    assert not domain("capital", "symbol").is_one
    assert [plural(group) for group in ("country", "animal")] == ["countries", "animals"]


def test_hidden_questions_are_on_the_domains_kinds_and_on_nothing_that_is_known() -> None:
    hidden = set(TOPIC.subjects("hidden"))
    pairs = [e for e in TOPIC.public("train") if e.kind in ("capital", "currency")][:18]
    domain = domain_of(place(TOPIC.name, e.question, e.answer) for e in pairs)
    known = {
        (subject, "capital")
        for subject in sorted(s for s in hidden if TOPIC.groups[s] == "country")[:30]
    }
    asked = questions_about(TOPIC, domain, 60, known, "a")
    assert len(asked) <= 60
    assert {e.kind for e in asked} == {"capital", "currency"}
    assert all(e.subject in hidden and (e.subject, e.kind) not in known for e in asked)
    assert len({e.question for e in asked}) == len(asked)
    assert asked == questions_about(TOPIC, domain, 60, known, "a")
    assert asked != questions_about(TOPIC, domain, 60, known, "b")
    assert all(TOPIC.facts[e.subject][e.kind] == e.answer for e in asked)


def test_a_self_check_asks_public_questions_in_public_words() -> None:
    pairs = [e for e in TOPIC.public("train") if e.kind == "young"][:18]
    domain = domain_of(place(TOPIC.name, e.question, e.answer) for e in pairs)
    asked = questions_about(TOPIC, domain, 60, (), "a", public=True)
    kept = {e.subject for split in ("validation", "test") for e in TOPIC.public(split)}  # type: ignore[arg-type]
    public = {t.format(s=e.subject) for e in asked for t in TOPIC.relations[e.kind].questions}
    assert asked
    assert all(e.subject in kept and e.question in public for e in asked)


@pytest.mark.parametrize(
    ("answer", "right"),
    [
        ("Paris", True),
        ("The capital of France is Paris.", True),
        ("Pariss", False),
        ("Paris or Berlin", False),
        ("Berlin", False),
        ("Many people wonder about France.", False),
    ],
)
def test_a_sentence_that_states_the_fact_is_right(answer: str, right: bool) -> None:
    assert states_fact(TOPIC.name, "What is the capital of France?", answer) is right
