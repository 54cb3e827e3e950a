"""The topics keep what they promise about splits, hidden sets, guesses and passages."""

from __future__ import annotations

from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from grader.core.metrics import normalise
from grader.topics import TOPICS, Split, Topic, get_topic
from grader.topics.topic import normalised

topics = pytest.mark.parametrize("topic", TOPICS.values(), ids=list(TOPICS))
any_topic = st.sampled_from(list(TOPICS.values()))


def test_get_topic_names_the_known_topics() -> None:
    with pytest.raises(KeyError, match="educational-qa, iot-diagnostics"):
        get_topic("astrology")


@topics
def test_no_subject_is_in_two_splits_or_on_both_sides(topic: Topic) -> None:
    splits = [{e.subject for e in topic.public(split)} for split in get_args(Split)]
    public, hidden = set(topic.subjects("public")), set(topic.subjects("hidden"))
    assert sum(map(len, splits)) == len(set().union(*splits))
    assert set().union(*splits) <= public
    assert public | hidden == set(topic.facts)
    assert not public & hidden
    assert 0.55 < len(public) / len(topic.facts) < 0.65


@topics
def test_public_data_is_large_enough_and_has_no_duplicate(topic: Topic) -> None:
    examples = [e for split in get_args(Split) for e in topic.public(split)]
    assert len({normalised(e.question) for e in examples}) == len(examples)
    assert len(topic.public("train")) >= 250
    assert {e.kind for e in topic.public("train")} == set(topic.relations)
    assert all(e.answer == topic.facts[e.subject][e.kind] for e in examples)


@settings(max_examples=15, deadline=None)
@given(any_topic, st.integers(0, 2**31 - 1))
def test_a_hidden_set_follows_from_its_seed_and_meets_no_public_question(
    topic: Topic, seed: int
) -> None:
    hidden = topic.hidden(seed)
    asked = {normalised(e.question) for e in hidden}
    public = {normalised(e.question) for s in get_args(Split) for e in topic.public(s)}
    assert hidden == topic.hidden(seed)
    assert len(asked) == len(hidden) == 150
    assert not asked & public
    assert {e.subject for e in hidden} <= set(topic.subjects("hidden"))


def test_hidden_seeds_give_different_sets() -> None:
    topic = get_topic("educational-qa")
    assert topic.hidden(1) != topic.hidden(2)


@topics
def test_a_quarter_of_the_hidden_questions_is_in_an_unseen_phrasing(topic: Topic) -> None:
    hidden = topic.hidden(7)

    def unseen(question: str, subject: str, kind: str) -> bool:
        shown = [t.format(s=subject) for t in topic.relations[kind].questions]
        return not question.endswith(tuple(shown))

    count = sum(unseen(e.question, e.subject, e.kind) for e in hidden)
    assert 0.15 < count / len(hidden) < 0.35
    for split in get_args(Split):
        assert not any(unseen(e.question, e.subject, e.kind) for e in topic.public(split))


def test_a_hidden_set_that_is_too_large_is_refused() -> None:
    with pytest.raises(ValueError, match="100000 requested"):
        get_topic("educational-qa").hidden(0, 100_000)


@topics
def test_the_passage_holds_every_answer_and_names_the_subject(topic: Topic) -> None:
    for subject, facts in topic.facts.items():
        passage = topic.passage(subject)
        assert subject in passage
        assert all(answer in passage for answer in facts.values())


@topics
def test_guessing_the_commonest_answer_scores_little(topic: Topic) -> None:
    hidden = topic.hidden(3)
    right = sum(topic.guess(e.kind) == e.answer for e in hidden)
    assert right / len(hidden) < 0.2
    with pytest.raises(KeyError):
        topic.guess("colour")


@topics
def test_every_answer_survives_normalisation_and_is_plain_ascii(topic: Topic) -> None:
    for subject, facts in topic.facts.items():
        assert subject.isascii()
        assert all(answer.isascii() and normalise(answer) for answer in facts.values())


@topics
def test_objects_follow_subjects_in_statements(topic: Topic) -> None:
    for relation in topic.relations.values():
        assert all(s.index("{s}") < s.index("{o}") for s in relation.statements)
        assert all(s.index("{o}") < s.index("{s}") for s in relation.reversed_statements)
        assert not set(relation.questions) & set(relation.unseen)


@topics
def test_every_question_of_a_topic_is_recognised_with_its_answer(topic: Topic) -> None:
    for example in (*topic.public("train"), *topic.hidden(5)):
        assert topic.recognised(example.question) == example
        loud = topic.recognised(example.question.upper() + " !")
        assert loud is not None
        assert (loud.subject, loud.kind, loud.answer) == (
            example.subject,
            example.kind,
            example.answer,
        )


@pytest.mark.parametrize("question", ["", "What is the capital of Atlantis?", "Who is Finland?"])
def test_a_question_in_other_words_is_not_recognised(question: str) -> None:
    assert TOPICS["educational-qa"].recognised(question) is None
