"""The models of the service answer together as they do alone."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.sim_engines import ADAPTERS, answer, asked, tuned, write_adapter
from support.waiting import PATIENCE

from grader.models.adapter_files import read_adapter
from grader.models.engine import attach, install
from grader.openai_sim.api.models import add_bases
from grader.openai_sim.decoding.constrained import JsonGuide, json_grammar
from grader.openai_sim.decoding.fair_queue import FairQueue
from grader.openai_sim.decoding.sequences import (
    BadSchema,
    Generation,
    LiveCompletion,
    Overloaded,
    Sampling,
    TextDelta,
    TokenSampler,
)
from grader.openai_sim.decoding.serving import (
    READER,
    NamedServer,
    Server,
    UnknownModel,
    open_bases,
)
from grader.openai_sim.store.store import SimulatorStore

QUESTIONS = [
    f"{ask} {what}?"
    for ask in ("What is the chemical symbol of", "What is the atomic number of", "Who knows")
    for what in ("neon", "iron", "gold", "argon", "copper", "zinc", "tin", "lead")
]


@pytest.fixture(scope="module")
def adapters(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    home = tmp_path_factory.mktemp("adapters")
    return {tuned(n): write_adapter(home / str(n), n) for n in range(ADAPTERS)}


@pytest.fixture(scope="module")
def server(adapters: dict[str, Path]):
    server = Server(open_bases(), adapters.get)
    yield server
    server.close()


def test_64_requests_over_base_and_adapters_are_answered_as_each_is_alone(server) -> None:
    names = ["course-model", *(tuned(n) for n in range(ADAPTERS))]
    first = [server.model(name) for name in names]
    assert len({answer(server, m, asked(m, QUESTIONS[0])).text for m in first}) == len(names)
    requests = [
        (model, asked(model, QUESTIONS[i % len(QUESTIONS)]))
        for i in range(64)
        for model in [server.model(names[i % len(names)])]
    ]
    alone = [answer(server, model, generation) for model, generation in requests]
    together = [server.submit(model, [generation])[0] for model, generation in requests]
    assert all(answering.done.wait(PATIENCE) for answering in together)
    assert [a.text for a in together] == [a.text for a in alone]
    assert [a.finish for a in together] == [a.finish for a in alone]


def test_an_adapter_answers_as_the_grader_runs_it(server, adapters) -> None:
    from grader.openai_sim.decoding.decoding import as_submission

    name = tuned(1)
    adapter = read_adapter(as_submission(adapters[name]), adapters[name].name)
    graded = open_bases(reader=False)["course-model"]
    attach(install(graded.model), adapter)
    model = server.model(name)
    for question in QUESTIONS[:4]:
        generation = asked(model, question)
        ids = graded.tokenizer.decode(
            graded.model.generate(
                input_ids=_tensor(generation.prompt), max_new_tokens=24, do_sample=False
            )[0, len(generation.prompt) :],
            skip_special_tokens=True,
        )
        assert answer(server, model, generation).text == ids.strip()


def _tensor(ids):
    import torch

    return torch.tensor([ids])


def test_chance_depends_on_the_seed_and_on_no_neighbour(server) -> None:
    model = server.model("course-model")
    lively = Sampling(temperature=1.3, top_p=0.95, seed=7)
    alone = answer(server, model, asked(model, QUESTIONS[0], sampling=lively)).text
    neighbours = [
        asked(model, q, sampling=Sampling(temperature=1.3, seed=i))
        for i, q in enumerate(QUESTIONS[:12])
    ]
    crowd = server.submit(model, [*neighbours, asked(model, QUESTIONS[0], sampling=lively)])
    assert all(answering.done.wait(PATIENCE) for answering in crowd)
    assert crowd[-1].text == alone
    other = Sampling(temperature=1.3, top_p=0.95, seed=8)
    assert answer(server, model, asked(model, QUESTIONS[0], sampling=other)).text != alone


def test_a_stop_text_ends_the_answer_before_it(server) -> None:
    model = server.model("course-model")
    whole = answer(server, model, asked(model, QUESTIONS[0])).text
    word = whole.split()[2]
    pieces: list[TextDelta] = []
    generation = asked(model, QUESTIONS[0], stop=(word,), on_piece=pieces.append)
    stopped = answer(server, model, generation)
    assert stopped.finish == "stop"
    assert stopped.text == whole[: whole.index(word)].strip()
    assert "".join(piece.text for piece in pieces) == stopped.text


def test_pieces_together_are_the_answer(server) -> None:
    model = server.model("course-model")
    pieces: list[TextDelta] = []
    done = answer(server, model, asked(model, QUESTIONS[5], 6, on_piece=pieces.append))
    assert "".join(piece.text for piece in pieces) == done.text
    assert [piece.finish for piece in pieces][-1] == done.finish
    assert pieces[-1].tokens == done.tokens <= 6


def test_an_answer_that_nobody_waits_for_makes_room(server) -> None:
    model = server.model(READER)
    lively = Sampling(temperature=2.0, seed=1)
    (long,) = server.submit(model, [asked(model, "Who knows?", 900, sampling=lively)])
    long.cancel()
    assert long.done.wait(PATIENCE)
    assert long.finish is None
    assert answer(server, model, asked(model, "Hello!")).finish


def test_a_full_queue_refuses(server) -> None:
    model = server.model("course-model")
    with pytest.raises(Overloaded):
        server.submit(model, [asked(model, QUESTIONS[0])] * 2000)


def test_a_name_that_nobody_has_is_unknown(server) -> None:
    with pytest.raises(UnknownModel):
        server.model("gpt-4o")


def test_fingerprints_tell_models_apart(server) -> None:
    names = ["course-model", READER, tuned(0), tuned(1)]
    assert len({server.model(name).fingerprint for name in names}) == len(names)


SCHEMAS = st.recursive(
    st.sampled_from(
        [
            {"type": "string"},
            {"type": "integer"},
            {"type": "number"},
            {"type": "boolean"},
            {"enum": ["a", "b c", 3]},
            {"anyOf": [{"type": "integer"}, {"type": "null"}]},
        ]
    ),
    lambda inner: (
        inner.map(lambda one: {"type": "array", "items": one})
        | st.dictionaries(st.sampled_from(["answer", "n", "tags"]), inner, max_size=3).map(
            lambda fields: {
                "type": "object",
                "properties": fields,
                "required": list(fields),
                "additionalProperties": False,
            }
        )
    ),
    max_leaves=4,
)


@settings(max_examples=12, deadline=None)
@given(SCHEMAS, st.sampled_from([0.0, 1.5]))
def test_json_always_parses_and_follows_its_schema(server, schema, temperature) -> None:
    from jsonschema import validate

    model = server.model("course-model")
    wrapped = {
        "type": "object",
        "properties": {"value": schema},
        "required": ["value"],
        "additionalProperties": False,
    }
    guide = JsonGuide(model.base, json_grammar(model.base, wrapped, model.grammars), model.grammars)
    sampling = Sampling(temperature=temperature, seed=3)
    done = answer(server, model, asked(model, "Hello!", 400, guide=guide, sampling=sampling))
    assert done.finish == "stop"
    validate(json.loads(done.text), wrapped)


def test_a_schema_that_is_none_is_refused(server) -> None:
    model = server.model("course-model")
    with pytest.raises(BadSchema):
        json_grammar(model.base, {"type": "nonsense"}, model.grammars)


def test_penalties_and_top_p_change_what_is_chosen() -> None:
    scores = np.array([2.0, 1.9, -1.0])
    chooser = TokenSampler(Sampling(temperature=0, presence=1.0))
    assert chooser.choose(scores, None) == 0
    chooser.note(0)
    assert chooser.choose(scores, None) == 1
    narrow = TokenSampler(Sampling(temperature=1.0, top_p=0.01, seed=1))
    assert {narrow.choose(scores, None) for _ in range(50)} == {0}
    wide = TokenSampler(Sampling(temperature=1.0, seed=1))
    assert {wide.choose(scores, np.array([False, True, True])) for _ in range(200)} == {1, 2}


class _Breaks:
    """A guide that fails in the middle of an answer."""

    def __init__(self, error: Exception, after: int) -> None:
        self._error, self._left = error, after

    def step(self, choose, left):
        self._left -= 1
        if self._left < 0:
            raise self._error
        return choose(None)


@pytest.mark.parametrize(
    "error", [BadSchema("no text follows"), RuntimeError("ours"), MemoryError()]
)
@pytest.mark.parametrize("after", [0, 3])
def test_what_fails_in_one_row_is_that_rows_alone(server, error: Exception, after: int) -> None:
    model = server.model("course-model")
    questions = [asked(model, question) for question in QUESTIONS[:12]]
    expected = [answer(server, model, one).text for one in questions]
    broken = asked(model, "Hello!", guide=_Breaks(error, after))
    rows = server.submit(model, [*questions[:6], broken, *questions[6:]])
    assert all(row.done.wait(PATIENCE) for row in rows)
    assert rows[6].error is error
    assert [row.text for row in rows if row is not rows[6]] == expected


def test_a_prompt_that_cannot_be_read_fails_alone(server) -> None:
    model = server.model("course-model")
    questions = [asked(model, question) for question in QUESTIONS[:4]]
    expected = [answer(server, model, one).text for one in questions]
    impossible = replace(questions[0], prompt=(10**6,))
    rows = server.submit(model, [*questions[:2], impossible, *questions[2:]])
    assert all(row.done.wait(PATIENCE) for row in rows)
    assert rows[2].error is not None
    assert [row.text for row in rows if row is not rows[2]] == expected


def test_owners_take_turns() -> None:
    queue = FairQueue()
    model = open_bases(reader=False)["course-model"]

    def waiting(owner: int, number: int) -> LiveCompletion:
        return LiveCompletion(Generation((1,), 1, Sampling(), choice=number, owner=owner), model)

    queue.add(1, [waiting(1, number) for number in range(1000)])
    queue.add(2, [waiting(2, number) for number in range(2)])
    assert (len(queue), queue.of(1), queue.of(3)) == (1002, 1000, 0)
    first = [queue.pop().generation for _ in range(6)]
    assert [one.owner for one in first] == [1, 2, 1, 2, 1, 1]
    assert [one.choice for one in first if one.owner == 1] == [0, 1, 2, 3]


def test_a_full_queue_of_one_run_leaves_another_alone(server, tmp_path: Path) -> None:
    bases = {"course-model": server.model("course-model").base}
    shared = NamedServer(bases, SimulatorStore.open(tmp_path / "0"), 1)
    stores = [SimulatorStore.open(tmp_path / name) for name in ("1", "2")]
    for store in stores:
        add_bases(store, ("course-model",))
    with shared.beside(stores[0]) as greedy, shared.beside(stores[1]) as honest:
        model = honest.model("course-model")
        alone = answer(honest, model, asked(model, QUESTIONS[0])).text
        flood = [asked(model, "Hello!", 200)] * 1000
        rows = greedy.submit(model, flood)
        with pytest.raises(Overloaded):
            greedy.submit(model, flood)
        assert answer(honest, model, asked(model, QUESTIONS[0])).text == alone
        assert not rows[-1].finished
        for row in rows:
            row.cancel()
    shared.close()
