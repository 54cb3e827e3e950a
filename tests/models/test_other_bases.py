"""Bases of other architectures and with other weights than the course model's: read, and answered
with as peft answers."""

from __future__ import annotations

import shutil
import warnings
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from support.bases import KINDS, adapted, loaded_by_peft, saved

from grader.assignment.questions import QuestionSet, chat, make_hidden
from grader.core.errors import FileRefused, GraderFault, UsageError
from grader.core.nouns import BaseModel
from grader.intake.find import submission_at
from grader.intake.submission import take_in
from grader.models import adapter_files
from grader.models.adapter_config import check_base, check_features, read_config
from grader.models.adapter_files import AdapterFiles, read_adapter
from grader.models.base_model import base_folder, load_base, load_folder
from grader.models.base_profile import profile_for
from grader.models.engine import Engine, LoraLinear, attach, install
from grader.models.training import train_lora

pytestmark = pytest.mark.filterwarnings(
    "ignore::FutureWarning", "ignore:fan_in_fan_out is set to False:UserWarning"
)
NEW_TOKENS = 6


@pytest.fixture(scope="module")
def base(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> BaseModel:
    return saved(request.param, tmp_path_factory.mktemp("bases") / request.param)


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Shapes that are worked out are kept under the home: not those of bases made for a test."""
    monkeypatch.setenv("FINEGRADE_HOME", str(tmp_path / "home"))


@cache
def questions() -> QuestionSet:
    return make_hidden("educational-qa", 5, 6)


def read(folder: Path, base: BaseModel) -> AdapterFiles:
    """The adapter in this submission, after all its checks."""
    submission = take_in(submission_at(folder / "s01"), folder)
    adapter = read_adapter(submission, "adapter")
    entries = adapter_files.read_entries(submission, "adapter")
    pairs = adapter_files.pair_up(entries, adapter.config)
    adapter_files.check_shapes(pairs, profile_for(base))
    check_base(adapter.config, base)
    return adapter


def submitted(base: BaseModel, folder: Path, **settings: Any) -> Any:
    """peft's model with an adapter that lies in a submission."""
    model = adapted(base, folder / "s01" / "adapter", **settings)
    (folder / "s01" / "notes.md").write_text("An adapter.\n")
    return model


@torch.inference_mode()
def answers_of_peft(model: Any, base: BaseModel) -> list[str]:
    """Greedy answers, one question at a time."""
    tokenizer = load_base(base).tokenizer
    texts = []
    for question in questions().questions:
        prompt = tokenizer.apply_chat_template(
            list(chat(question.messages)), tokenize=False, add_generation_prompt=True
        )
        inputs = tokenizer(prompt, add_special_tokens=False, return_tensors="pt")
        given = {name: inputs[name] for name in ("input_ids", "attention_mask")}
        output = model.generate(**given, max_new_tokens=NEW_TOKENS, do_sample=False)
        new = output[0, inputs["input_ids"].shape[1] :]
        texts.append(tokenizer.decode(new, skip_special_tokens=True).strip())
    return texts


def answers_of_ours(base: BaseModel, adapter: AdapterFiles | None) -> list[str]:
    engine = Engine(load_base(base), questions(), NEW_TOKENS)
    return [answer.text for answer in engine.predict(adapter).answers]


@pytest.mark.parametrize("base", KINDS, indirect=True)
def test_answers_and_logits_equal_those_of_peft(base: BaseModel, tmp_path: Path) -> None:
    model = submitted(base, tmp_path)
    adapter = read(tmp_path, base)
    ours = answers_of_ours(base, adapter)
    assert ours == answers_of_peft(model, base)
    assert ours != answers_of_ours(base, None)
    plain = load_base(base).model
    attach(install(plain), adapter)
    ids = torch.arange(1, 40)[None]
    with torch.inference_mode():
        torch.testing.assert_close(plain(ids).logits, model(ids).logits, atol=2e-4, rtol=1e-4)


PATTERNS: dict[str, dict[str, Any]] = {
    "rank_pattern": {"rank_pattern": {"c_attn": 2, "h.1.mlp.c_fc": 7}},
    "alpha_pattern": {"alpha_pattern": {"mlp.c_proj": 20, "c_proj": 1}},
    "both, with rsLoRA": {
        "rank_pattern": {"c_attn": 9},
        "alpha_pattern": {"c_attn": 3},
        "use_rslora": True,
    },
    "layers of one block": {"target_modules": ["c_attn", "c_fc"], "layers_to_transform": [1]},
}


@pytest.mark.parametrize("base", ["gpt2"], indirect=True)
@pytest.mark.parametrize("name", PATTERNS)
def test_each_layer_has_the_rank_and_scale_that_peft_gives_it(
    name: str, base: BaseModel, tmp_path: Path
) -> None:
    submitted(base, tmp_path, **PATTERNS[name])
    ours = read(tmp_path, base).modules
    # Loaded again: peft saves the names of a pattern sorted, and the first that fits counts.
    model = PeftModel.from_pretrained(loaded_by_peft(base), tmp_path / "s01" / "adapter")
    theirs = {
        path.removeprefix("base_model.model."): (layer.r["default"], layer.scaling["default"])
        for path, layer in model.named_modules()
        if hasattr(layer, "lora_A")
    }
    assert {path: (pair.rank, pair.scale) for path, pair in ours.items()} == theirs


@pytest.mark.parametrize("base", ["gpt2", "qwen2"], indirect=True)
@pytest.mark.parametrize(
    "settings",
    [{"bias": "all"}, {"modules_to_save": ["lm_head"]}, {"target_modules": ["lm_head"]}],
    ids=["biases", "a saved head", "an adapted head"],
)
def test_what_changes_more_than_linear_layers_is_refused_by_name(
    settings: dict[str, Any], base: BaseModel, tmp_path: Path
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # peft warns of tied embeddings
        submitted(base, tmp_path, **settings)
    submission = take_in(submission_at(tmp_path / "s01"), tmp_path)
    with pytest.raises(FileRefused, match=next(iter(settings))) as caught:
        check_features(read_config(submission, "adapter"))
    assert caught.value.code == "ADP009"


@pytest.mark.parametrize("base", ["gpt2"], indirect=True)
def test_a_training_adapts_all_layers_of_any_base(base: BaseModel, tmp_path: Path) -> None:
    example = ([{"role": "user", "content": "Where is Rome?"}], "In Italy.")
    train_lora(base_folder(base), [example], tmp_path / "s01" / "adapter", epochs=3, threads=1)
    (tmp_path / "s01" / "notes.md").write_text("An adapter.\n")
    assert set(read(tmp_path, base).modules) == set(profile_for(base).linear_shapes)


def test_a_layer_in_bfloat16_adds_as_peft_adds(tmp_path: Path) -> None:
    torch.manual_seed(2)
    model = torch.nn.Sequential(torch.nn.Linear(24, 16).to(torch.bfloat16))
    x = torch.randn(5, 24).to(torch.bfloat16)
    layer = LoraLinear(model[0])
    layer.a, layer.b, layer.scale = torch.randn(3, 24), torch.randn(16, 3), 1.5
    theirs: Any = get_peft_model(model, LoraConfig(r=3, lora_alpha=4.5, target_modules=["0"]))
    linear = theirs.base_model.model[0]
    with torch.no_grad():
        linear.lora_A["default"].weight.copy_(layer.a)
        linear.lora_B["default"].weight.copy_(layer.b)
    assert torch.equal(layer(x), theirs(x))


def test_shapes_need_the_config_alone(tmp_path: Path) -> None:
    whole = saved("gpt2", tmp_path / "whole")
    bare = tmp_path / "bare"
    bare.mkdir()
    shutil.copy(Path(whole.name) / "config.json", bare / "config.json")
    shapes = profile_for(BaseModel(str(bare), "0" * 64)).linear_shapes
    assert shapes == profile_for(whole).linear_shapes
    assert shapes["transformer.h.0.attn.c_attn"] == (144, 48)


def test_a_base_without_a_shard_is_not_used(tmp_path: Path) -> None:
    base = saved("llama-sharded", tmp_path / "base")
    assert base_folder(base) == tmp_path / "base"
    (tmp_path / "base" / "model-00002-of-00003.safetensors").unlink()
    with pytest.raises(GraderFault, match=r"no model-00002-of-00003\.safetensors"):
        base_folder(base)


def test_another_model_in_the_folder_is_refused_with_its_digest(tmp_path: Path) -> None:
    base = saved("qwen2", tmp_path / "base")
    with pytest.raises(GraderFault, match=base.revision):
        base_folder(replace(base, revision="0" * 64))


def test_a_base_without_a_chat_template_is_a_mistake_of_the_assignment(tmp_path: Path) -> None:
    saved("gpt2", tmp_path / "base")
    (tmp_path / "base" / "chat_template.jinja").unlink()
    with pytest.raises(UsageError, match="chat template"):
        Engine(load_folder(tmp_path / "base", "cpu"), questions(), NEW_TOKENS)


def test_questions_that_reach_behind_the_last_position_are_refused(tmp_path: Path) -> None:
    base = saved("gpt2", tmp_path / "base")
    with pytest.raises(UsageError, match="fit"):
        Engine(load_base(base), questions(), max_new_tokens=250)
