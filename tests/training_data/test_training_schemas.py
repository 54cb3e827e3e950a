"""The published JSON Schemas and the validator agree on what is valid."""

from __future__ import annotations

import copy
import json
import random
from importlib import resources
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from support.example_strategies import RELAXED, examples, plain_example
from support.mutations import MUTATIONS

from grader.core.nouns import Severity
from grader.training_data.check import check_file
from grader.training_data.read.examples import Kind

RANDOM = st.randoms(use_true_random=True)
ON_OBJECTS: Final = sorted(name for name, m in MUTATIONS.items() if m.code >= "JSL201")
BEYOND_A_SCHEMA: Final = {  # order, ids, images, JSON in a text; and 1.0 is an integer to it
    "JSL209", "JSL210", "JSL211", "JSL212", "JSL213", "JSL302", "JSL303", "JSL304", "JSL306",
    "JSL322", "JSL323", "JSL325", "JSL404",
}  # fmt: skip
_SMALL_VALUES: Final[tuple[Any, ...]] = (
    None, True, 0, -1, 1.5, "", " ", "x", [], [[]], {}, {"type": "text"}, ["x"], [{"role": "user"}],
)  # fmt: skip


def _validator(kind: Kind) -> Draft202012Validator:
    schema = json.loads(
        resources.files("grader").joinpath(f"schemas/training-{kind}.v1.json").read_text("utf-8")
    )
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


VALIDATORS: Final = {kind: _validator(kind) for kind in Kind}


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("schemas") / "train.jsonl"


def _if_refused_then_an_error(path: Path, kind: Kind, example: Any) -> bool:
    """Whether the schema refuses the example; what it refuses must be an error."""
    lines = [json.dumps(plain_example(kind, n)) for n in range(10)]
    path.write_text("\n".join([*lines, json.dumps(example)]), "utf-8")
    errors = {
        finding.location.line
        for finding in check_file(path, model=None).findings
        if finding.severity is Severity.ERROR
    }
    refused = [error.message for error in VALIDATORS[kind].iter_errors(example)]
    assert not refused or errors == {11}, (example, refused)
    return bool(refused)


def _replace_somewhere(source: random.Random, value: Any, new: Any) -> None:
    """Replaces one value at any depth, or drops it, or adds a key."""
    places: list[tuple[Any, Any]] = []

    def visit(place: Any) -> None:
        keys = list(place) if isinstance(place, dict) else range(len(place))
        for key in keys:
            places.append((place, key))
            if isinstance(place[key], dict | list):
                visit(place[key])

    visit(value)
    place, key = source.choice(places)
    way = source.randrange(3)
    if way == 0:
        del place[key]
    elif way == 1 and isinstance(place, dict):
        place["other"] = new
    else:
        place[key] = new


@pytest.mark.parametrize("kind", list(Kind))
@settings(RELAXED, max_examples=30)
@given(data=st.data())
def test_the_published_schema_takes_every_valid_example(kind: Kind, data: st.DataObject) -> None:
    VALIDATORS[kind].validate(data.draw(examples(kind)))


@pytest.mark.parametrize("name", ON_OBJECTS)
@settings(RELAXED, max_examples=3)
@given(data=st.data(), source=RANDOM)
def test_the_published_schema_refuses_what_a_schema_can_tell_and_that_is_an_error(
    path: Path, name: str, data: st.DataObject, source: random.Random
) -> None:
    mutation = MUTATIONS[name]
    broken = mutation.apply(source, copy.deepcopy(data.draw(mutation.sound())))
    refused = _if_refused_then_an_error(path, mutation.kind, broken)
    assert refused or mutation.code in BEYOND_A_SCHEMA


@pytest.mark.parametrize("kind", list(Kind))
@settings(RELAXED, max_examples=60)
@given(data=st.data(), source=RANDOM)
def test_what_the_published_schema_refuses_of_anything_is_an_error(
    path: Path, kind: Kind, data: st.DataObject, source: random.Random
) -> None:
    example = data.draw(examples(kind))
    _replace_somewhere(source, example, data.draw(st.sampled_from(_SMALL_VALUES)))
    _if_refused_then_an_error(path, kind, example)
