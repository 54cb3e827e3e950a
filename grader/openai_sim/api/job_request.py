"""The body of a request for a new job: its ranges, and the words of each refusal."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from grader.openai_sim.store import parameters as read
from grader.openai_sim.store.errors import ApiError

SUFFIX_MOST: Final = 64
SEED_MOST: Final = 2**31 - 1
EPOCHS_MOST: Final = 50
BATCH_MOST: Final = 256
RATE_MOST: Final = 10_000.0  # the service names no bound; beyond this nothing can be learned
BETA_MOST: Final = 2.0
METADATA_PAIRS: Final = 16
METADATA_KEY_CHARACTERS: Final = 64
METADATA_VALUE_CHARACTERS: Final = 512

_METHODS: Final = ("supervised", "dpo", "reinforcement")
_KNOWN: Final = (
    "model",
    "training_file",
    "validation_file",
    "suffix",
    "seed",
    "metadata",
    "integrations",
    "method",
    "hyperparameters",
)
_HYPERPARAMETERS: Final = ("n_epochs", "batch_size", "learning_rate_multiplier")


@dataclass(frozen=True, slots=True)
class JobRequest:
    """A request for a job; `hyperparameters` are numbers or "auto"."""

    model: str
    training_file: str
    validation_file: str | None
    suffix: str | None
    seed: int | None
    metadata: Mapping[str, str] | None
    method: str
    hyperparameters: Mapping[str, Any]


def job_request(body: Mapping[str, Any]) -> JobRequest:
    """The request in this body. Raises ApiError for its first error."""
    read.only(body, _KNOWN)
    model, training_file = read.text(body, "model"), read.text(body, "training_file")
    if model is None:
        raise read.missing("model")
    if training_file is None:
        raise read.missing("training_file")
    if body.get("integrations"):
        raise ApiError(
            400,
            "Integrations are not available on this service: nothing may leave this machine.",
            param="integrations",
            code="invalid_value",
        )
    method, hyperparameters = _method(body, model)
    seed = read.integer(body, "seed", 0, SEED_MOST)
    return JobRequest(
        model=model,
        training_file=training_file,
        validation_file=read.text(body, "validation_file"),
        suffix=read.text(body, "suffix", most=SUFFIX_MOST),
        seed=seed,
        metadata=_metadata(body),
        method=method,
        hyperparameters=hyperparameters,
    )


def _method(body: Mapping[str, Any], model: str) -> tuple[str, dict[str, Any]]:
    """The method and its hyperparameters.

    Older clients send hyperparameters at the top of the body; those of the method win.
    """
    older = read.member(body, "hyperparameters")
    given = read.member(body, "method")
    if body.get("method") is not None and "type" not in given:
        raise read.missing("method.type")
    name = read.choice(given.get("type", "supervised"), "method.type", _METHODS)
    read.only(given, ("type", *_METHODS), "method.")
    if name == "reinforcement":
        raise ApiError(
            400,
            f"Model {model} is not available for fine-tuning with method 'reinforcement'.",
            param="method",
            code="model_not_available",
        )
    inner = read.member(given, name, "method.")
    read.only(inner, ("hyperparameters",), f"method.{name}.")
    place = f"method.{name}.hyperparameters."
    own = read.member(inner, "hyperparameters", f"method.{name}.")
    older_read = _hyperparameters(older, "supervised", "hyperparameters.")
    own_read = _hyperparameters(own, name, place)
    names = (*_HYPERPARAMETERS, "beta") if name == "dpo" else _HYPERPARAMETERS
    return name, {key: own_read.get(key, older_read.get(key, "auto")) for key in names}


def _hyperparameters(given: Mapping[str, Any], method: str, prefix: str) -> dict[str, Any]:
    read.only(given, (*_HYPERPARAMETERS, "beta") if method == "dpo" else _HYPERPARAMETERS, prefix)
    found = {name: "auto" for name, value in given.items() if value == "auto"}
    numbers = {name: value for name, value in given.items() if value != "auto"}
    values = {
        "n_epochs": read.integer(numbers, "n_epochs", 1, EPOCHS_MOST, prefix),
        "batch_size": read.integer(numbers, "batch_size", 1, BATCH_MOST, prefix),
        "learning_rate_multiplier": read.positive(
            numbers, "learning_rate_multiplier", RATE_MOST, prefix
        ),
        "beta": read.positive(numbers, "beta", BETA_MOST, prefix),
    }
    return found | {name: value for name, value in values.items() if value is not None}


def _metadata(body: Mapping[str, Any]) -> Mapping[str, str] | None:
    if body.get("metadata") is None:
        return None
    given = read.member(body, "metadata")
    if len(given) > METADATA_PAIRS:
        raise ApiError(
            400,
            f"Invalid 'metadata': too many properties. Expected an object with at most "
            f"{METADATA_PAIRS} properties, but got an object with {len(given)} properties instead.",
            param="metadata",
            code="object_above_max_properties",
        )
    for key, value in given.items():
        if not isinstance(value, str):
            raise read.wrong_type(f"metadata.{key[:METADATA_KEY_CHARACTERS]}", "a string", value)
        for text, most, part in (
            (key, METADATA_KEY_CHARACTERS, "key"),
            (value, METADATA_VALUE_CHARACTERS, "value"),
        ):
            if len(text) > most:
                raise ApiError(
                    400,
                    f"Invalid 'metadata': {part} too long. Expected a string with maximum length "
                    f"{most}, but got a string with length {len(text)} instead.",
                    param="metadata",
                    code="string_above_max_length",
                )
    return given
