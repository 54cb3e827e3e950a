"""An adapter's `adapter_config.json`, read by our own rules.

No library ever gets a student's config: some of its keys make peft import modules, run search
patterns or rewrite the base model.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from jsonschema import Draft202012Validator

from grader.core.constants import (
    ADAPTER_CONFIG,
    ADAPTER_MAX_ALPHA,
    ADAPTER_MAX_CONFIG_BYTES,
    ADAPTER_MAX_RANK,
    SHIPPED_BASES,
)
from grader.core.errors import FileRefused
from grader.core.nouns import Assignment, BaseModel, Submission
from grader.core.strict_json import StrictJsonError, loads
from grader.intake.paths import shown
from grader.intake.submission import read_file

_PLAIN_NAME = re.compile(r"[A-Za-z0-9_]+(\.[A-Za-z0-9_]+)*")
_VOCABULARY_LAYERS = frozenset(
    {"lm_head", "embed_out", "embed_tokens", "embed_in", "wte", "wpe", "word_embeddings"}
)
_SCHEMA = Path(__file__).parent.parent / "schemas" / "lora-config.v1.json"


@dataclass(frozen=True, slots=True)
class AdapterConfig:
    """What is read of the config. `others` are all keys as written."""

    r: int
    alpha: float
    use_rslora: bool
    target_modules: tuple[str, ...]
    base_name: str | None
    path: str
    others: Mapping[str, Any]
    rank_pattern: Mapping[str, int]
    alpha_pattern: Mapping[str, float]

    def rank_of(self, module: str) -> int:
        """The rank of the layer at this module path."""
        return _by_pattern(self.rank_pattern, module, self.r)

    def scale_of(self, module: str) -> float:
        """Its alpha / r (Hu et al. 2021), or alpha / sqrt(r) with rsLoRA (Kalajdzievski 2023)."""
        rank = self.rank_of(module)
        alpha = _by_pattern(self.alpha_pattern, module, self.alpha)
        return alpha / (math.sqrt(rank) if self.use_rslora else rank)

    @property
    def unknown_keys(self) -> tuple[str, ...]:
        """Keys that this version does not know, for the instructor: newer peft writes new ones."""
        return tuple(sorted(self.others.keys() - _FEATURES.keys() - _HARMLESS))


Number = TypeVar("Number", int, float)


def _by_pattern(patterns: Mapping[str, Number], module: str, otherwise: Number) -> Number:
    """The number of the first pattern that ends the module path, as peft looks for it."""
    found = (number for name, number in patterns.items() if f".{module}".endswith(f".{name}"))
    return next(found, otherwise)


def _off(value: Any) -> bool:
    return value in (None, False, [], {})


def _plain_names(value: Any) -> bool:
    return _off(value) or (isinstance(value, dict) and all(map(_PLAIN_NAME.fullmatch, value)))


@dataclass(frozen=True, slots=True)
class _Feature:
    why: str
    allowed: Callable[[Any], bool] = _off


_MAGNITUDES = "it changes more than a low-rank update of linear layers"
_REWRITES = "it changes the base model's own weights"
_OTHER_ARCHITECTURE = "it changes how the model is built"
_SEARCHES = "its names are search patterns, and patterns are not run"
_FEATURES: Mapping[str, _Feature] = {
    "use_dora": _Feature(f"{_MAGNITUDES} (DoRA)"),
    "bias": _Feature("it trains the base model's biases", lambda value: value in (None, "none")),
    "lora_bias": _Feature("it adds a bias to the adapter"),
    "modules_to_save": _Feature("it stores whole layers of the model"),
    "trainable_token_indices": _Feature("it trains embeddings"),
    "target_parameters": _Feature("it trains parameters that are not linear layers"),
    "layer_replication": _Feature(_OTHER_ARCHITECTURE),
    "rank_pattern": _Feature(_SEARCHES, _plain_names),
    "alpha_pattern": _Feature(_SEARCHES, _plain_names),
    "megatron_config": _Feature(_OTHER_ARCHITECTURE),
    "init_lora_weights": _Feature(
        _REWRITES, lambda value: value in (None, True, False, "gaussian", "orthogonal", "eva")
    ),
    "loftq_config": _Feature(_REWRITES),
    "corda_config": _Feature(_REWRITES),
    "lora_ga_config": _Feature(_REWRITES),
    "kasa_config": _Feature(_MAGNITUDES),
    "velora_config": _Feature(_MAGNITUDES),
    "monteclora_config": _Feature(_MAGNITUDES),
    "use_qalora": _Feature(_MAGNITUDES),
    "use_bdlora": _Feature(_MAGNITUDES),
    "arrow_config": _Feature("it mixes several adapters"),
    "alora_invocation_tokens": _Feature("it acts on some tokens only"),
}
# Known and without a part in what the adapter does. peft writes `auto_mapping` (a class and its
# library) for everyone who leaves out `task_type`; nothing here acts on it. `fan_in_fan_out` says
# how the base stores its weights: peft sets it by itself, and it counts where weights are merged.
_HARMLESS = frozenset(
    {
        "auto_mapping",
        "base_model_name_or_path",
        "ensure_weight_tying",
        "eva_config",
        "exclude_modules",
        "fan_in_fan_out",
        "inference_mode",
        "layers_pattern",
        "layers_to_transform",
        "lora_alpha",
        "lora_dropout",
        "megatron_core",
        "peft_type",
        "peft_version",
        "qalora_group_size",
        "r",
        "revision",
        "runtime_config",
        "target_modules",
        "task_type",
        "use_rslora",
    }
)


@cache
def _schema() -> dict[str, Any]:
    schema: dict[str, Any] = json.loads(_SCHEMA.read_text(encoding="utf-8"))
    return schema


@cache
def _validator() -> Draft202012Validator:
    return Draft202012Validator(_schema())


def read_config(submission: Submission, folder: str) -> AdapterConfig:
    """The config of the adapter in this folder; raises FileRefused ADP002."""
    path = f"{folder}/{ADAPTER_CONFIG}"
    if submission.file(path) is None:
        raise FileRefused(
            "ADP002",
            f"{ADAPTER_CONFIG} is missing from the adapter folder {shown(folder)!r}.",
            "Save the adapter with model.save_pretrained(folder); it writes this file.",
            path,
        )
    try:
        data = read_file(submission, path, ADAPTER_MAX_CONFIG_BYTES)
        document = loads(data, max_bytes=ADAPTER_MAX_CONFIG_BYTES)
    except FileRefused as error:
        raise FileRefused("ADP002", error.message, _save_again(), path) from None
    except StrictJsonError as error:
        raise FileRefused(
            "ADP002", f"{ADAPTER_CONFIG}, {shown(str(error), 200)}.", _save_again(), path
        ) from None
    fault = next(iter(sorted(_validator().iter_errors(document), key=lambda e: e.json_path)), None)
    if fault is not None:
        raise FileRefused("ADP002", _schema_message(fault), _save_again(), path)
    return AdapterConfig(
        int(document["r"]),
        float(document["lora_alpha"]),
        bool(document.get("use_rslora")),
        tuple(document["target_modules"]),
        document.get("base_model_name_or_path"),
        path,
        document,
        document.get("rank_pattern") or {},
        document.get("alpha_pattern") or {},
    )


def _save_again() -> str:
    return "Train with a plain peft.LoraConfig and save with model.save_pretrained(folder)."


def _schema_message(fault: Any) -> str:
    if not fault.absolute_path:
        return f"{ADAPTER_CONFIG} does not fit: {shown(fault.message, 200)}."
    key = fault.absolute_path[0]
    expected = _schema()["properties"][key]["description"]
    return f"{ADAPTER_CONFIG}: {key!r} is {shown(repr(fault.instance))}; expected is {expected}."


def check_features(config: AdapterConfig) -> None:
    """Refuse what is not plain LoRA on linear layers; raises FileRefused ADP009."""
    for key, feature in _FEATURES.items():
        if key in config.others and not feature.allowed(config.others[key]):
            value = shown(json.dumps(config.others[key]))
            raise FileRefused(
                "ADP009",
                f"{ADAPTER_CONFIG} sets {key!r} to {value}; that is not graded, because "
                f"{feature.why}.",
                f"Train with a plain LoraConfig, without {key!r}, and save the adapter again.",
                config.path,
            )
    for target in config.target_modules:
        if is_vocabulary_layer(target):
            raise FileRefused(
                "ADP009",
                f"{ADAPTER_CONFIG} has {shown(target)!r} among its 'target_modules'; that is not "
                "graded, because it is a vocabulary layer: peft stores it whole, beside the "
                "adapter.",
                "Name attention and MLP layers alone, or target_modules='all-linear', which leaves "
                "the vocabulary layers out, and save the adapter again.",
                config.path,
            )


def is_vocabulary_layer(module: str) -> bool:
    """Whether this is the output head or an embedding, by the names that models give them."""
    return module.rpartition(".")[2] in _VOCABULARY_LAYERS


def check_rank(config: AdapterConfig) -> None:
    """Refuse a rank or an alpha beyond the limits; raises FileRefused ADP006."""
    for key, value, most in (
        ("r", config.r, ADAPTER_MAX_RANK),
        ("rank_pattern", max(config.rank_pattern.values(), default=0), ADAPTER_MAX_RANK),
        ("lora_alpha", config.alpha, ADAPTER_MAX_ALPHA),
        ("alpha_pattern", max(config.alpha_pattern.values(), default=0), ADAPTER_MAX_ALPHA),
    ):
        if value > most:
            raise FileRefused(
                "ADP006",
                f"{ADAPTER_CONFIG}: {key!r} is {value:g}; at most {most} is taken.",
                f"Train with {key} of {most} or less; a rank of 8 to 16 is plenty here.",
                config.path,
            )


def submitted_base(submission: Submission, assignment: Assignment, deliverable: str) -> BaseModel:
    """The base of a submitted adapter: of those that it may be trained on, the one that its config
    names; the deliverable's own where it names none of them or cannot be read."""
    wanted = assignment.deliverable(deliverable)
    own = assignment.base_of(wanted.base)
    others = [assignment.base_of(id) for id in wanted.other_bases]
    try:
        folder = submission.place(deliverable) if others else None
        config = read_config(submission, folder) if folder is not None else None
    except FileRefused:  # a check says so
        return own
    return next((base for base in (own, *others) if config and _names(config, base)), own)


def _names(config: AdapterConfig, base: BaseModel) -> bool:
    """Students train from a local copy, so the last part of a path counts as the name."""
    parts = _named(config).split("/")
    cached = "models--" + base.name.replace("/", "--")
    return (
        _named(config) == base.name or parts[-1] == base.title.rsplit("/", 1)[-1] or cached in parts
    )


def _named(config: AdapterConfig) -> str:
    return (config.base_name or "").replace("\\", "/").rstrip("/")


def check_base(config: AdapterConfig, base: BaseModel) -> None:
    """Refuse an adapter that says it was trained on another base; raises FileRefused ADP008."""
    if _names(config, base):
        return
    named = _named(config)
    parts = named.split("/")
    given = base.name in SHIPPED_BASES or base.is_folder
    origin = f"the kit's {base.title} folder" if given else repr(base.name)
    trained_on = shown(parts[-1]) if named else "nothing it names"
    raise FileRefused(
        "ADP008",
        f"{ADAPTER_CONFIG} says that the adapter was trained on {trained_on}; this assignment's "
        f"base is {base.title}.",
        f"Load the base from {origin}, train on that, and save the adapter again.",
        config.path,
    )
