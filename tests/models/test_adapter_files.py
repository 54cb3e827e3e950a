"""Adapter files: good ones of peft are read exactly, broken ones are refused under their code."""

from __future__ import annotations

import io
import json
import math
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.adapters import (
    LAYER,
    WIDTH,
    config,
    framed,
    pair,
    random_pair,
    safetensors,
    tensor,
    write_adapter,
)

from grader.assignment.load import load_assignment
from grader.core.constants import ROW_SPACE_SIZE, SKETCH_SIZE
from grader.core.errors import FileRefused
from grader.core.nouns import BaseModel, Submission
from grader.intake.find import FoundSubmission
from grader.intake.submission import take_in
from grader.models import adapter_files
from grader.models.adapter_config import check_base, read_config
from grader.models.adapter_files import AdapterFiles, read_adapter, row_space, sketch
from grader.models.base_profile import BaseProfile

PROFILE = BaseProfile("course-model", {LAYER: (WIDTH, WIDTH)}, "")
BASE = load_assignment("llm-methods").base
A, B = random_pair()
OTHER = "model.layers.1.self_attn.q_proj"


def submission(folder: Path) -> Submission:
    (folder / "readme.md").write_text("An adapter.\n")
    return take_in(FoundSubmission("s01", folder), folder.parent)


def read(folder: Path) -> AdapterFiles:
    """Every step that an adapter passes before it may run."""
    one = submission(folder)
    adapter = read_adapter(one, "adapter")
    adapter_files.check_no_pickles(one, "adapter")
    check_base(adapter.config, BASE)
    pairs = adapter_files.pair_up(adapter_files.read_entries(one, "adapter"), adapter.config)
    adapter_files.check_shapes(pairs, PROFILE)
    adapter_files.check_effect(adapter)
    return adapter


def header(**changes: Any) -> bytes:
    """A weights file of one pair whose header entry for A has these keys changed (None: gone)."""
    data = safetensors(pair(A, B))
    length = int.from_bytes(data[:8], "little")
    document = json.loads(data[8 : 8 + length])
    entry = document[f"base_model.model.{LAYER}.lora_A.weight"]
    entry.update(changes)
    for key in [key for key, value in entry.items() if value is None]:
        del entry[key]
    return framed(json.dumps(document).encode()) + data[8 + length :]


def with_number(tensor_side: int, number: float, dtype: str = "F32") -> bytes:
    values = [A.copy(), B.copy()]
    values[tensor_side][1, 1] = number
    return safetensors(pair(values[0], values[1], dtype=dtype))


def torch_archive() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps({}))
    return buffer.getvalue()


GOOD = safetensors(pair(A, B))
NAMES = [name for name, *_ in pair(A, B)]
TWICE = '{"a": {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}, "a": 1}'
GAP = [["F32", [2, WIDTH], [0, 1024]], ["F32", [WIDTH, 2], [1028, 2052]]]
OVERLAP = [["F32", [2, WIDTH], [0, 1024]], ["F32", [WIDTH, 2], [512, 1536]]]


def placed(entries: list[list[Any]], length: int) -> bytes:
    keys = ("dtype", "shape", "data_offsets")
    document = {n: dict(zip(keys, e, strict=True)) for n, e in zip(NAMES, entries, strict=True)}
    return framed(json.dumps(document).encode()) + bytes(length)


WEIGHTS: dict[str, tuple[str, bytes]] = {
    "pickle": ("ADP001", pickle.dumps({"a": 1})),
    "torch.save": ("ADP001", torch_archive()),
    "Git LFS pointer": ("ADP001", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n"),
    "web page": ("ADP001", b"<!DOCTYPE html><title>Log in</title>"),
    "gzip": ("ADP001", b"\x1f\x8b\x08\x00" + bytes(20)),
    "empty": ("ADP003", b""),
    "seven bytes": ("ADP003", GOOD[:7]),
    "zeros": ("ADP003", bytes(100)),
    "header longer than the file": ("ADP003", (10**9).to_bytes(8, "little") + b"{}"),
    "header of 2 MiB": ("ADP003", framed(b"{" + b" " * (2 << 20) + b"}")),
    "header is a list": ("ADP003", framed(b"[]")),
    "header is not JSON": ("ADP003", framed(b"{oh no}")),
    "header is not UTF-8": ("ADP003", framed(b'{"\xff": 1}')),
    "header is deep": ("ADP003", framed(b'{"a":' * 40 + b"1" + b"}" * 40)),
    "equal keys": ("ADP003", framed(TWICE.encode())),
    "no tensors": ("ADP003", framed(b"{}")),
    "5000 tensors": (
        "ADP003",
        safetensors([(f"t{i}", "F32", [0], b"") for i in range(5000)]),
    ),
    "metadata of numbers": ("ADP003", safetensors(pair(A, B), {"format": 1})),
    "metadata is a text": ("ADP003", safetensors(pair(A, B), "pt")),
    "unknown dtype": ("ADP003", header(dtype="Q4")),
    "dtype is a list": ("ADP003", header(dtype=["F32"])),
    "float64": ("ADP003", safetensors(pair(A, B, dtype="F64"))),
    "int64": ("ADP003", safetensors(pair(A, B, dtype="I64"))),
    "no shape": ("ADP003", header(shape=None)),
    "another key": ("ADP003", header(extra=1)),
    "negative shape": ("ADP003", header(shape=[-2, -WIDTH])),
    "shape of booleans": ("ADP003", header(shape=[True, 2 * WIDTH])),
    "shape of floats": ("ADP003", header(shape=[2.0, float(WIDTH)])),
    "shape without end": ("ADP003", header(shape=[10**17] * 5000)),
    "shape does not fit its bytes": ("ADP003", header(shape=[2, WIDTH - 1])),
    "one offset": ("ADP003", header(data_offsets=[0])),
    "gap": ("ADP003", placed(GAP, 2052)),
    "overlap": ("ADP003", placed(OVERLAP, 1536)),
    "one byte short": ("ADP003", GOOD[:-1]),
    "one byte more": ("ADP003", GOOD + b"x"),
    "only A": ("ADP004", safetensors(pair(A, B)[:1])),
    "only B": ("ADP004", safetensors(pair(A, B)[1:])),
    "a whole model": ("ADP004", safetensors([tensor("model.embed_tokens.weight", A)])),
    "without peft's prefix": (
        "ADP004",
        safetensors([(n[len("base_model.model.") :], t, s, d) for n, t, s, d in pair(A, B)]),
    ),
    "one tensor too many": (
        "ADP004",
        safetensors([*pair(A, B), tensor("base_model.model.model.norm.weight", A)]),
    ),
    "embedding": (
        "ADP004",
        safetensors([tensor("base_model.model.model.embed_tokens.lora_embedding_A", A)]),
    ),
    "a layer under two names": (
        "ADP004",
        safetensors([*pair(A, B), *pair(A, B, suffix=".default")]),
    ),
    "a layer not among the targets": (
        "ADP004",
        safetensors(pair(A, B, "model.layers.0.self_attn.v_proj")),
    ),
    "half a target's name": ("ADP004", safetensors(pair(A, B, "model.layers.0.eq_proj"))),
    "one dimension": (
        "ADP004",
        safetensors([tensor(NAMES[0], A.reshape(-1)), tensor(NAMES[1], B)]),
    ),
    "three dimensions": (
        "ADP004",
        safetensors([tensor(NAMES[0], A[None]), tensor(NAMES[1], B)]),
    ),
    "rank of A": ("ADP004", safetensors(pair(A[:1], B))),
    "rank of B": ("ADP004", safetensors(pair(A, B[:, :1]))),
    "rank of the config": ("ADP004", safetensors(pair(*random_pair(rank=4)))),
    "rank 0": ("ADP004", safetensors(pair(A[:0], B[:, :0]))),
    "A turned round": ("ADP004", safetensors(pair(A.T, B.T))),
    "layer 77": ("ADP005", safetensors(pair(A, B, "model.layers.77.self_attn.q_proj"))),
    "A too wide": ("ADP005", safetensors(pair(np.ones((2, WIDTH + 1), np.float32), B))),
    "B too short": ("ADP005", safetensors(pair(A, B[1:]))),
    "NaN in A": ("ADP007", with_number(0, math.nan)),
    "infinity in B": ("ADP007", with_number(1, math.inf)),
    "NaN in half precision": ("ADP007", with_number(1, math.nan, "F16")),
    "infinity in bfloat16": ("ADP007", with_number(0, -math.inf, "BF16")),
    "huge": ("ADP007", with_number(0, -2e4)),
    "untrained": ("ADP010", safetensors(pair(A, np.zeros_like(B)))),
    "A is zero": ("ADP010", safetensors(pair(np.zeros_like(A), B))),
    "A and B miss each other": (
        "ADP010",
        safetensors(pair(A * np.float32([[1], [0]]), B * np.float32([0, 1]))),
    ),
    "too small to matter": ("ADP010", safetensors(pair(A * np.float32(1e-30), B))),
}

CONFIGS: dict[str, tuple[str, dict[str, Any] | bytes]] = {
    "empty file": ("ADP002", b""),
    "not JSON": ("ADP002", b"r: 8"),
    "equal keys": ("ADP002", b'{"r": 2, "r": 64}'),
    "NaN": ("ADP002", b'{"lora_alpha": NaN}'),
    "list": ("ADP002", b"[]"),
    "too large": ("ADP002", b" " * 70_000 + b"{}"),
    "missing rank": ("ADP002", b'{"peft_type": "LORA", "lora_alpha": 2, "target_modules": ["a"]}'),
    "other method": ("ADP002", config(peft_type="IA3")),
    "rank is text": ("ADP002", config(r="8")),
    "rank is true": ("ADP002", config(r=True)),
    "rank 0": ("ADP002", config(r=0)),
    "alpha 0": ("ADP002", config(lora_alpha=0)),
    "negative alpha": ("ADP002", config(lora_alpha=-4)),
    "pattern as target": ("ADP002", config(target_modules="(a+)+$")),
    "no targets": ("ADP002", config(target_modules=[])),
    "pattern in the list": ("ADP002", config(target_modules=["q_proj|.*"])),
    "base is a number": ("ADP002", config(base_model_name_or_path=3)),
    "rslora is text": ("ADP002", config(use_rslora="yes")),
    "rank 65": ("ADP006", config(r=65)),
    "rank 10**17": ("ADP006", config(r=10**17)),
    "alpha 1025": ("ADP006", config(lora_alpha=1025)),
    "another base": ("ADP008", config(base_model_name_or_path="Qwen/Qwen2.5-0.5B")),
    "no base": ("ADP008", config(base_model_name_or_path=None)),
    "nearly the base": ("ADP008", config(base_model_name_or_path="my-course-model")),
    "DoRA": ("ADP009", config(use_dora=True)),
    "biases": ("ADP009", config(bias="all")),
    "own bias": ("ADP009", config(lora_bias=True)),
    "saved modules": ("ADP009", config(modules_to_save=["lm_head"])),
    "tokens": ("ADP009", config(trainable_token_indices=[0])),
    "replication": ("ADP009", config(layer_replication=[[0, 1000]])),
    "ranks by pattern": ("ADP009", config(rank_pattern={"(a+)+$": 4})),
    "alphas by pattern": ("ADP009", config(alpha_pattern={".*q_proj": 4})),
    "a rank of 65 by name": ("ADP006", config(rank_pattern={"q_proj": 65})),
    "an alpha of 1025 by name": ("ADP006", config(alpha_pattern={"q_proj": 1025})),
    "a rank of 400 digits": ("ADP002", config(r=10**400)),
    "an alpha of 400 digits": ("ADP002", config(lora_alpha=10**400)),
    "a rank by name of 400 digits": ("ADP002", config(rank_pattern={"q_proj": 10**400})),
    "a rank by name is text": ("ADP002", config(rank_pattern={"q_proj": "8"})),
    "an alpha by name is 0": ("ADP002", config(alpha_pattern={"q_proj": 0})),
    "another rank by name": ("ADP004", config(rank_pattern={"self_attn.q_proj": 4})),
    "the head as target": ("ADP009", config(target_modules=["q_proj", "lm_head"])),
    "an embedding as target": ("ADP009", config(target_modules=["model.embed_tokens"])),
    "megatron": ("ADP009", config(megatron_config={"a": 1})),
    "PiSSA": ("ADP009", config(init_lora_weights="pissa")),
    "PiSSA, fast": ("ADP009", config(init_lora_weights="pissa_niter_4")),
    "OLoRA": ("ADP009", config(init_lora_weights="olora")),
    "LoftQ": ("ADP009", config(init_lora_weights="loftq")),
    "CorDA": ("ADP009", config(init_lora_weights="corda")),
    "parameters": ("ADP009", config(target_parameters=["w"])),
    "a feature with odd type": ("ADP009", config(use_dora=["x"])),
}


def refused(folder: Path) -> FileRefused:
    with pytest.raises(FileRefused) as caught:
        read(folder)
    error = caught.value
    assert error.hint
    assert error.message.isprintable()
    assert str(folder) not in error.message
    assert len(error.message) < 500
    return error


@pytest.mark.parametrize("name", WEIGHTS)
def test_broken_weights_are_refused_under_their_code(name: str, tmp_path: Path) -> None:
    code, weights = WEIGHTS[name]
    write_adapter(tmp_path / "s01" / "adapter", weights=weights)
    assert refused(tmp_path / "s01").code == code


@pytest.mark.parametrize("name", CONFIGS)
def test_broken_configs_are_refused_under_their_code(name: str, tmp_path: Path) -> None:
    code, settings = CONFIGS[name]
    write_adapter(tmp_path / "s01" / "adapter", settings=settings)
    assert refused(tmp_path / "s01").code == code


REMOVALS: dict[str, tuple[str, Callable[[Path], object]]] = {
    "no config": ("ADP002", lambda folder: (folder / "adapter_config.json").unlink()),
    "no weights": ("ADP001", lambda folder: (folder / "adapter_model.safetensors").unlink()),
    "pickle instead": (
        "ADP001",
        lambda f: (f / "adapter_model.safetensors").rename(f / "adapter_model.bin"),
    ),
    "pickle beside": ("ADP011", lambda folder: (folder / "training_args.BIN").write_bytes(b"x")),
    "merged model": (
        "ADP001",
        lambda f: (f / "adapter_model.safetensors").rename(f / "model.safetensors"),
    ),
}


@pytest.mark.parametrize("name", REMOVALS)
def test_missing_and_surplus_files_are_refused_under_their_code(name: str, tmp_path: Path) -> None:
    code, change = REMOVALS[name]
    change(write_adapter(tmp_path / "s01" / "adapter"))
    assert refused(tmp_path / "s01").code == code


@given(st.binary(max_size=200))
def test_any_bytes_are_refused_in_one_way(
    tmp_path_factory: pytest.TempPathFactory, data: bytes
) -> None:
    folder = tmp_path_factory.mktemp("any") / "s01"
    write_adapter(folder / "adapter", weights=data)
    assert refused(folder).code in ("ADP001", "ADP003")


def test_reads_every_number_and_the_scale(tmp_path: Path) -> None:
    write_adapter(tmp_path / "s01" / "adapter", settings=config(lora_alpha=3))
    adapter = read(tmp_path / "s01")
    [(layer, read_pair)] = adapter.modules.items()
    assert (layer, read_pair.rank, read_pair.scale) == (LAYER, 2, 1.5)
    np.testing.assert_array_equal(read_pair.a, A)
    np.testing.assert_array_equal(read_pair.b, B)
    assert read_pair.a.dtype == read_pair.b.dtype == np.float32
    assert read_pair.a.flags.writeable  # torch shares the memory and warns if it may not write
    assert adapter.file_bytes == len(safetensors(pair(A, B), {"format": "pt"}))


def test_rslora_scales_by_the_root_of_the_rank(tmp_path: Path) -> None:
    write_adapter(tmp_path / "s01" / "adapter", settings=config(use_rslora=True))
    assert read(tmp_path / "s01").modules[LAYER].scale == 4 / math.sqrt(2)


def test_the_first_name_that_ends_a_layers_path_decides_on_its_scale(tmp_path: Path) -> None:
    patterns = {"proj": 9, "self_attn.q_proj": 6, "q_proj": 7}
    write_adapter(tmp_path / "s01" / "adapter", settings=config(alpha_pattern=patterns))
    assert read(tmp_path / "s01").modules[LAYER].scale == 6 / 2


@pytest.mark.parametrize("dtype", ["F16", "BF16"])
def test_half_precision_gives_the_same_adapter(dtype: str, tmp_path: Path) -> None:
    write_adapter(tmp_path / "one" / "adapter")
    write_adapter(tmp_path / "two" / "adapter", weights=safetensors(pair(A, B, dtype=dtype)))
    one, two = read(tmp_path / "one"), read(tmp_path / "two")
    assert one.digest == two.digest
    assert sketch(one) == sketch(two)


@pytest.mark.parametrize("first_byte", [0x80, 0x50])
def test_a_length_that_looks_like_another_format_is_fine(first_byte: int, tmp_path: Path) -> None:
    data = safetensors(pair(A, B))
    length = int.from_bytes(data[:8], "little")
    text = data[8 : 8 + length]
    padded = text + b" " * ((first_byte - length) % 256)
    weights = framed(padded) + data[8 + length :]
    assert weights[0] == first_byte
    write_adapter(tmp_path / "s01" / "adapter", weights=weights)
    assert read(tmp_path / "s01").modules


def test_keys_of_a_newer_peft_are_left_alone_and_named(tmp_path: Path) -> None:
    write_adapter(tmp_path / "s01" / "adapter", settings=config(use_next_year=1, peft_version="9"))
    assert read(tmp_path / "s01").config.unknown_keys == ("use_next_year",)


@pytest.mark.parametrize(
    ("base", "named", "holds"),
    [
        (BASE, "../kit/course-model/", True),
        (BASE, "C:\\kit\\course-model", True),
        (BaseModel("Qwen/Qwen2.5-0.5B", "main"), "Qwen/Qwen2.5-0.5B", True),
        (BaseModel("Qwen/Qwen2.5-0.5B", "main"), "/models/Qwen2.5-0.5B", True),
        (BaseModel("a/b", "main"), "/cache/models--a--b/snapshots/0123", True),
        (BaseModel("a/b", "main"), "a/b-4bit", False),
    ],
)
def test_the_base_is_known_by_the_last_part_of_its_path(
    base: BaseModel, named: str, holds: bool, tmp_path: Path
) -> None:
    settings = config(base_model_name_or_path=named)
    write_adapter(tmp_path / "s01" / "adapter", settings=settings)
    read_back = read_config(submission(tmp_path / "s01"), "adapter")
    if holds:
        check_base(read_back, base)
    else:
        with pytest.raises(FileRefused, match="ADP008"):
            check_base(read_back, base)


def test_reads_what_peft_saves(tmp_path: Path) -> None:
    import peft
    import torch

    class Attention(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.q_proj = torch.nn.Linear(12, 8, bias=False)

        def forward(self, x: Any) -> Any:
            return self.q_proj(x)

    torch.manual_seed(0)
    settings = peft.LoraConfig(r=4, lora_alpha=6, target_modules=["q_proj"])
    model = peft.get_peft_model(Attention(), settings)
    layer = model.base_model.model.q_proj
    torch.nn.init.normal_(layer.lora_B["default"].weight)
    model.save_pretrained(tmp_path / "s01" / "adapter")
    adapter = read_adapter(submission(tmp_path / "s01"), "adapter")
    pair_read = adapter.modules["q_proj"]
    delta = pair_read.scale * pair_read.b @ pair_read.a
    np.testing.assert_allclose(delta, layer.get_delta_weight("default").detach(), rtol=1e-5)
    assert adapter.config.unknown_keys == ()


# --- sketches ----------------------------------------------------------------------------------


def sketch_of(folder: Path, weights: bytes, **settings: Any) -> np.ndarray:
    write_adapter(folder / "adapter", weights=weights, settings=config(**settings))
    return np.array(sketch(read_adapter(submission(folder), "adapter")))


def test_a_sketch_sees_the_effect_alone(tmp_path: Path) -> None:
    plain = sketch_of(tmp_path / "plain", safetensors([*pair(A, B), *pair(B.T, A.T, OTHER)]))
    assert plain.shape == (SKETCH_SIZE,)
    assert np.linalg.norm(plain) == pytest.approx(1, abs=1e-4)
    swapped = pair(A[::-1], B[:, ::-1])
    same = {
        "rescaled": [*pair(A * 4, B / 4), *pair(B.T, A.T, OTHER)],
        "other order of ranks": [*swapped, *pair(B.T, A.T, OTHER)],
        "other order of layers": [*pair(B.T, A.T, OTHER), *pair(A, B)],
    }
    for name, tensors in same.items():
        np.testing.assert_allclose(
            sketch_of(tmp_path / name, safetensors(tensors)), plain, atol=2e-6, err_msg=name
        )
    weights = safetensors([*pair(A, B), *pair(B.T, A.T, OTHER)])
    louder = sketch_of(tmp_path / "louder", weights, lora_alpha=64)
    np.testing.assert_allclose(louder, plain, atol=2e-6)


def test_other_trainings_and_other_layers_are_far_apart(tmp_path: Path) -> None:
    weights = [safetensors(pair(*random_pair(seed))) for seed in range(4)]
    weights.append(safetensors(pair(A, B, OTHER)))
    sketches = [sketch_of(tmp_path / str(i), data) for i, data in enumerate(weights)]
    cosines = np.array(sketches) @ np.array(sketches).T
    assert np.abs(cosines[~np.eye(len(weights), dtype=bool)]).max() < 0.5


def test_cosines_of_sketches_follow_those_of_the_effects(tmp_path: Path) -> None:
    nudge = random_pair(9)
    near = [A + nudge[0] * np.float32(0.25), B]
    one, two = (
        sketch_of(tmp_path / str(i), safetensors(pair(*p))) for i, p in enumerate([(A, B), near])
    )
    effects = [b.astype(float) @ a for a, b in [(A, B), near]]
    exact = np.vdot(*effects) / (np.linalg.norm(effects[0]) * np.linalg.norm(effects[1]))
    assert float(one @ two) == pytest.approx(exact, abs=0.05)


def test_without_effect_a_sketch_is_zero(tmp_path: Path) -> None:
    weights = safetensors(pair(A, np.zeros_like(B)))
    assert not sketch_of(tmp_path / "s01", weights).any()


# --- row spaces --------------------------------------------------------------------------------


def row_space_of(folder: Path, *pairs: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """Of an adapter with such pairs on the first layer, on the second, ..."""
    tensors = [t for p, layer in zip(pairs, (LAYER, OTHER), strict=False) for t in pair(*p, layer)]
    settings = config(r=len(pairs[0][0]))
    write_adapter(folder / "adapter", weights=safetensors(tensors), settings=settings)
    return row_space(read_adapter(submission(folder), "adapter")).astype(np.float64)


def test_a_row_space_is_what_an_adapter_reads_whatever_it_makes_of_it(tmp_path: Path) -> None:
    other = random_pair(4)
    plain = row_space_of(tmp_path / "plain", (A, B), other)
    assert plain.shape == (ROW_SPACE_SIZE,)
    assert plain @ plain == pytest.approx(1, abs=1e-2)
    mixed = np.array([[2, 1], [0.5, -1]], np.float32)
    same = {
        "rescaled": (A * 4, B / 4),
        "ranks mixed": (mixed @ A, B @ np.linalg.inv(mixed)),
        "other outputs": (A, random_pair(5)[1]),
    }
    for name, first in same.items():
        assert row_space_of(tmp_path / name, first, other) @ plain > 0.98, name


@pytest.mark.parametrize(("rank", "other"), [(2, 2), (8, 8), (8, 64), (64, 64)])
def test_row_spaces_of_other_seeds_have_nothing_in_common_whatever_their_ranks(
    rank: int, other: int, tmp_path: Path
) -> None:
    one = row_space_of(tmp_path / "one", random_pair(1, rank))
    two = row_space_of(tmp_path / "two", random_pair(2, other))
    assert abs(one @ two) < 0.06


@pytest.mark.parametrize("noise", [0.5, 1.0, 2.0])
def test_products_of_row_spaces_follow_what_they_have_in_common(
    noise: float, tmp_path: Path
) -> None:
    a, b = random_pair(1, 8)
    near = a + np.float32(noise * a.std()) * np.random.default_rng(2).normal(0, 1, a.shape)
    one, two = (
        row_space_of(tmp_path / str(i), (rows.astype(np.float32), b))
        for i, rows in enumerate((a, near))
    )
    bases = [np.linalg.qr(rows.T.astype(np.float64))[0] for rows in (a, near)]
    chance = 8 * 8 / WIDTH
    exact = (np.sum((bases[0].T @ bases[1]) ** 2) - chance) / (8 - chance)
    assert one @ two == pytest.approx(exact, abs=0.05)


def test_ranks_that_change_nothing_do_not_hide_a_row_space(tmp_path: Path) -> None:
    a, b = random_pair(1, 8)
    more, none = random_pair(2, 8)[0], np.zeros((WIDTH, 8), np.float32)
    padded = (np.concatenate([a, more]), np.concatenate([b, none], axis=1))
    one, two = row_space_of(tmp_path / "one", (a, b)), row_space_of(tmp_path / "two", padded)
    assert one @ two > 0.98
