"""Shapes of a base: what ships equals what the model itself says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from grader.assignment.load import load_assignment
from grader.core.constants import COURSE_MODEL
from grader.core.errors import GraderFault
from grader.core.files import resource
from grader.core.nouns import BaseModel
from grader.models.base_profile import SHAPES_FILE, profile_for, profile_from_folder, write_profile

TINY = {
    "model_type": "llama",
    "architectures": ["LlamaForCausalLM"],
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 1,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 32,
    "tie_word_embeddings": False,
}


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    folder = tmp_path / "tiny"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(TINY))
    return folder


def test_shapes_are_those_of_the_linear_layers_without_the_head(tiny: Path) -> None:
    layer = "model.layers.0"
    profile = profile_from_folder(tiny)
    assert profile.name == "tiny"
    assert profile.linear_shapes == {
        f"{layer}.self_attn.q_proj": (16, 16),
        f"{layer}.self_attn.k_proj": (8, 16),
        f"{layer}.self_attn.v_proj": (8, 16),
        f"{layer}.self_attn.o_proj": (16, 16),
        f"{layer}.mlp.gate_proj": (24, 16),
        f"{layer}.mlp.up_proj": (24, 16),
        f"{layer}.mlp.down_proj": (16, 24),
    }


def test_a_written_profile_is_read_back_without_the_model(tiny: Path) -> None:
    worked_out = profile_from_folder(tiny)
    write_profile(tiny)
    (tiny / "config.json").unlink()
    assert profile_from_folder(tiny) == worked_out


def test_a_damaged_profile_is_our_fault(tiny: Path) -> None:
    (tiny / SHAPES_FILE).write_text('{"linear_shapes": {"a": [1]}}')
    with pytest.raises(GraderFault, match="damaged"):
        profile_from_folder(tiny)


def test_a_hub_models_profile_is_kept(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FINEGRADE_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    profile_for.cache_clear()
    first = profile_for(BaseModel("tiny", "main"))  # a folder stands in for the hub's cache
    (tiny / "config.json").unlink()
    profile_for.cache_clear()
    assert profile_for(BaseModel("tiny", "main")) == first


def test_a_base_that_is_not_here_is_the_machines_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FINEGRADE_HOME", str(tmp_path))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(GraderFault, match="hf download"):
        profile_for(BaseModel("nobody/no-such-model", "main"))


def test_the_course_models_shipped_shapes_are_its_own(tmp_path: Path) -> None:
    shipped = resource("starter", COURSE_MODEL)
    assert (shipped / SHAPES_FILE).is_file()
    (tmp_path / "config.json").write_bytes((shipped / "config.json").read_bytes())
    assert profile_for(load_assignment("llm-methods").base).linear_shapes == (
        profile_from_folder(tmp_path).linear_shapes
    )
