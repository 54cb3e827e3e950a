"""The names of models, which clients take apart and store."""

from __future__ import annotations

import hashlib
import re

import pytest
from support.sim_apps import BASE

from grader.openai_sim.decoding.model_names import base_names, checkpoint_name, snapshot, tuned_name
from grader.openai_sim.store.store import JobRow


def job(model: str, suffix: str | None = None) -> JobRow:
    return JobRow("ftjob-abcdefghijklmnopqrstuvwx", model, 1, "file-1", 7, suffix=suffix)


def test_the_course_models_snapshot_is_named_after_its_weights() -> None:
    digest = hashlib.sha256((BASE / "model.safetensors").read_bytes()).hexdigest()
    assert snapshot("course-model") == f"course-model-{digest[:8]}"
    assert snapshot("course-model") in base_names()


def test_a_snapshot_means_itself() -> None:
    assert all(snapshot(snapshot(name)) == snapshot(name) for name in base_names())


@pytest.mark.parametrize("base", ["course-model", "gpt-4.1-nano"])
@pytest.mark.parametrize("suffix", [None, "mine", "My: own?"])
def test_a_tuned_models_name_comes_apart_at_its_colons(base: str, suffix: str | None) -> None:
    made = tuned_name(job(snapshot(base), suffix))
    ft, model, organization, own, unique = made.split(":")
    assert (ft, model, organization, unique) == ("ft", snapshot(base), "finegrade", "abcdefgh")
    assert re.fullmatch(r"[a-z0-9_-]*", own)
    assert checkpoint_name(job(snapshot(base), suffix), 12) == f"{made}:ckpt-step-12"


@pytest.mark.parametrize("end", ["", ":ckpt-step-4"])
def test_what_goes_on_from_a_tuned_model_is_named_after_its_base(end: str) -> None:
    parent = f"ft:gpt-4.1-nano-2025-04-14:finegrade:old:12345678{end}"
    assert tuned_name(job(parent, "new")) == ("ft:gpt-4.1-nano-2025-04-14:finegrade:new:abcdefgh")
