"""A student's LoRA adapter, from files to float32 pairs, without torch and without peft.

Each step is a function of its own and raises FileRefused with the code of the one claim that it
judges, so that a check can call exactly its step. `read_adapter` is all of them together.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, NoReturn

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array

from grader.core.constants import (
    ADAPTER_MAX_ABS,
    ADAPTER_MAX_BYTES,
    ADAPTER_MIN_EFFECT,
    MIB,
    ROW_SPACE_SIZE,
    SKETCH_SIZE,
)
from grader.core.errors import FileRefused
from grader.core.nouns import Submission
from grader.intake.paths import shown
from grader.intake.submission import open_file
from grader.models.adapter_config import (
    AdapterConfig,
    check_features,
    check_rank,
    is_vocabulary_layer,
    read_config,
)
from grader.models.base_profile import BaseProfile
from grader.models.safetensors_file import TensorEntry, read_header, read_tensor

WEIGHTS_FILE = "adapter_model.safetensors"
_PICKLE_SUFFIXES = (".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".joblib")
_LORA_NAME = re.compile(
    r"base_model\.model\.(?P<module>[A-Za-z0-9_]+(?:\.[A-Za-z0-9_]+)*)"
    r"\.lora_(?P<side>[AB])(?:\.default)?\.weight"
)
_SAVE = "Save the adapter with model.save_pretrained(folder); its default is safetensors."

_LEAST_DIRECTION: Final = 1e-3  # of the largest: what B A reads less of is not counted as read

Array = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class LoraPair:
    """One adapted layer: y += scale * B A x, with A [rank, in] and B [out, rank] in float32."""

    rank: int
    scale: float
    a: Array
    b: Array


@dataclass(frozen=True, slots=True)
class AdapterFiles:
    """An adapter that was read. `modules` by module path of the base, in sorted order.

    `digest` is over ranks, scales and float32 values, so file names, dtypes that hold the same
    values, and the order of tensors do not change it. `file_bytes` is the size of the weights file.
    """

    modules: Mapping[str, LoraPair]
    config: AdapterConfig
    digest: str
    file_bytes: int


@dataclass(frozen=True, slots=True)
class PairEntry:
    """Where the two tensors of one adapted layer stand in the weights file."""

    a: TensorEntry
    b: TensorEntry


def read_adapter(submission: Submission, folder: str) -> AdapterFiles:
    """The adapter in this folder of the submission, after every check that needs no base.

    Raises FileRefused with the code of the first claim that does not hold.
    """
    find_weights(submission, folder)
    config = read_config(submission, folder)
    check_features(config)
    check_rank(config)
    check_size(submission, folder)
    pairs = pair_up(read_entries(submission, folder), config)
    return read_weights(submission, folder, pairs, config)


def find_weights(submission: Submission, folder: str) -> str:
    """The path of the safetensors weights; raises FileRefused ADP001."""
    path = f"{folder}/{WEIGHTS_FILE}"
    if submission.file(path) is None:
        raise FileRefused("ADP001", _instead(submission, folder), _SAVE, folder)
    with open_file(submission, path) as file:
        start = file.read(64)
    # First the JSON header's brace: the length before it may begin with the bytes of other formats.
    if start[8:9] != b"{":
        for magic, what in (
            (b"\x80", "a Python pickle"),
            (b"PK\x03\x04", "a torch.save archive, which holds a pickle"),
            (b"version https://git-lfs", "a Git LFS pointer, not the weights themselves"),
            (b"\x1f\x8b", "a gzip file"),
            (b"<", "a web page"),
        ):
            if start.startswith(magic):
                raise FileRefused("ADP001", f"{WEIGHTS_FILE} is {what}.", _SAVE, path)
    return path


def _instead(submission: Submission, folder: str) -> str:
    names = _names_in(submission, folder)
    if any(name.endswith(_PICKLE_SUFFIXES) for name in names):
        return (
            f"There is no {WEIGHTS_FILE} in {shown(folder)!r}, but a file in a pickle format. "
            "A pickle can run any program when it is opened, so it is not opened."
        )
    listed = ", ".join(shown(name) for name in sorted(names)[:5])
    return f"There is no {WEIGHTS_FILE} in {shown(folder)!r}; it holds {listed}."


def _names_in(submission: Submission, folder: str) -> list[str]:
    prefix = f"{folder}/"
    return [f.path.removeprefix(prefix) for f in submission.files if f.path.startswith(prefix)]


def check_no_pickles(submission: Submission, folder: str) -> None:
    """Refuse pickles beside the weights; raises FileRefused ADP011."""
    for name in _names_in(submission, folder):
        if name.lower().endswith(_PICKLE_SUFFIXES):
            raise FileRefused(
                "ADP011",
                f"{shown(name)!r} in the adapter folder is in a pickle format, which can run any "
                "program when it is opened.",
                "Remove it; the adapter needs adapter_config.json and adapter_model.safetensors.",
                f"{folder}/{name}",
            )


def check_size(submission: Submission, folder: str) -> None:
    """Refuse a weights file beyond the limit; raises FileRefused ADP006."""
    file = submission.file(f"{folder}/{WEIGHTS_FILE}")
    if file is not None and file.size > ADAPTER_MAX_BYTES:
        raise FileRefused(
            "ADP006",
            f"{WEIGHTS_FILE} is {file.size / MIB:.0f} MiB; at most {ADAPTER_MAX_BYTES // MIB} MiB "
            "are taken.",
            "Save the adapter alone, not the merged model, and use a smaller rank.",
            file.path,
        )


def read_entries(submission: Submission, folder: str) -> tuple[TensorEntry, ...]:
    """The tensors that the weights file's header names; raises FileRefused ADP003."""
    path = f"{folder}/{WEIGHTS_FILE}"
    file_bytes = next(file.size for file in submission.files if file.path == path)
    with open_file(submission, path) as file:
        return read_header(file, file_bytes)


def pair_up(entries: Sequence[TensorEntry], config: AdapterConfig) -> Mapping[str, PairEntry]:
    """Each adapted layer's A and B by module path, sorted; raises FileRefused ADP004.

    Every tensor is used: one that is not understood is refused and never ignored.
    """
    targets = set(config.target_modules)
    sides: dict[str, dict[str, TensorEntry]] = {}
    for entry in entries:
        match = _LORA_NAME.fullmatch(entry.name)
        if match is None:
            _refuse_tensor(f"The tensor {shown(entry.name)!r} is not part of a LoRA pair")
        module, side = match["module"], match["side"]
        parts = module.split(".")
        if targets.isdisjoint(".".join(parts[n:]) for n in range(len(parts))):
            _refuse_tensor(f"{shown(module)!r} has weights but is not among target_modules")
        if side in sides.setdefault(module, {}):
            _refuse_tensor(f"{shown(module)!r} has two tensors lora_{side}")
        sides[module][side] = entry
    pairs = {}
    for module, tensors in sorted(sides.items()):
        for side in ("A", "B"):
            if side not in tensors:
                _refuse_tensor(f"{shown(module)!r} has no tensor lora_{side}")
        pairs[module] = PairEntry(tensors["A"], tensors["B"])
        _check_ranks(module, pairs[module], config.rank_of(module))
    return pairs


def _check_ranks(module: str, pair: PairEntry, rank: int) -> None:
    for side, shape, axis in (("A", pair.a.shape, 0), ("B", pair.b.shape, 1)):
        if len(shape) != 2:
            _refuse_tensor(f"lora_{side} of {shown(module)!r} has {len(shape)} dimensions, not 2")
        if shape[axis] != rank:
            _refuse_tensor(
                f"lora_{side} of {shown(module)!r} has rank {shape[axis]}, but the config says "
                f"{rank}"
            )


def _refuse_tensor(what: str) -> NoReturn:
    raise FileRefused(
        "ADP004",
        f"{what}.",
        "Save the trained PEFT model with model.save_pretrained(folder) and leave both files as "
        "they are.",
    )


def check_shapes(pairs: Mapping[str, PairEntry], profile: BaseProfile) -> None:
    """Refuse pairs that do not fit the base's linear layers; raises FileRefused ADP005."""
    for module, pair in pairs.items():
        if module not in profile.linear_shapes:
            why = (
                "is the base's vocabulary layer, which is not adapted in this course"
                if is_vocabulary_layer(module)
                else f"is not a linear layer of {profile.name}"
            )
            _refuse_shape(f"{shown(module)!r} {why}")
        out_features, in_features = profile.linear_shapes[module]
        if (pair.b.shape[0], pair.a.shape[1]) != (out_features, in_features):
            _refuse_shape(
                f"{shown(module)!r} maps {pair.a.shape[1]} numbers to {pair.b.shape[0]}; in "
                f"{profile.name} it maps {in_features} to {out_features}"
            )


def _refuse_shape(what: str) -> NoReturn:
    raise FileRefused(
        "ADP005",
        f"{what}.",
        "Train on this assignment's base, with its attention and MLP layers as target_modules.",
    )


def read_weights(
    submission: Submission, folder: str, pairs: Mapping[str, PairEntry], config: AdapterConfig
) -> AdapterFiles:
    """The adapter with its values in memory; raises FileRefused ADP007 for bad numbers."""
    path = f"{folder}/{WEIGHTS_FILE}"
    digest = hashlib.sha256()
    modules = {}
    with open_file(submission, path) as file:
        for module, entry in pairs.items():
            a, b = read_tensor(file, entry.a), read_tensor(file, entry.b)
            _check_values(module, a, b)
            rank, scale = config.rank_of(module), config.scale_of(module)
            modules[module] = LoraPair(rank, scale, a, b)
            head = f"{module}\0{rank}\0{scale!r}\0{a.shape}\0{b.shape}\0"
            digest.update(head.encode())
            digest.update(a.tobytes())
            digest.update(b.tobytes())
        file_bytes = file.seek(0, 2)
    return AdapterFiles(modules, config, digest.hexdigest(), file_bytes)


def _check_values(module: str, *tensors: Array) -> None:
    for tensor in tensors:
        if not np.isfinite(tensor).all():
            found = "are not numbers (NaN or infinity)"
        elif np.abs(tensor).max(initial=0.0) > ADAPTER_MAX_ABS:
            found = f"are larger than {ADAPTER_MAX_ABS:g}"
        else:
            continue
        raise FileRefused(
            "ADP007",
            f"Some weights of {shown(module)!r} {found}: the training went off the rails.",
            "Lower the learning rate (or clip gradients), train again, and watch the loss.",
        )


def check_effect(adapter: AdapterFiles) -> None:
    """Refuse an adapter that leaves the base as it is; raises FileRefused ADP010."""
    if sum(_squared_norm(pair) for pair in adapter.modules.values()) > ADAPTER_MIN_EFFECT**2:
        return
    raise FileRefused(
        "ADP010",
        "The adapter changes nothing: its answers are the base model's own.",
        "LoRA's B starts at zero. Check that the optimizer gets the adapter's parameters, that "
        "training ran, and that you saved the model after it.",
    )


def _squared_norm(pair: LoraPair) -> float:
    """Squared Frobenius norm of scale * B A, from two [rank, rank] products: tr(BᵀB AAᵀ)."""
    a, b = pair.a.astype(np.float64), pair.b.astype(np.float64)
    return float(pair.scale**2 * np.sum((b.T @ b) * (a @ a.T)))


def sketch(adapter: AdapterFiles) -> tuple[float, ...]:
    """SKETCH_SIZE numbers that two adapters share when they do the same to the base.

    The tensor sketch (Pham and Pagh 2013, KDD) of every scale * B A, summed over the layers with
    signs of each layer's own, as a unit vector: a random projection, so angles between adapters
    stay about what they are, and B A itself is never formed. It sees the effect alone: other
    scalings, orders of ranks, dtypes and file names give the same sketch. All zero for an adapter
    without effect.
    """
    total = np.zeros(SKETCH_SIZE)
    for module, pair in adapter.modules.items():
        total += pair.scale * _tensor_sketch(module, pair.b, pair.a, SKETCH_SIZE)
    return tuple(round(float(x), 6) for x in _unit(total))


def row_space(adapter: AdapterFiles) -> npt.NDArray[np.float16]:
    """ROW_SPACE_SIZE numbers whose products say how far two adapters read the same directions.

    LoRA's A starts at random and moves little, so the row spaces of two trainings with seeds of
    their own are about as far apart as random ones, also on equal data, while noise on a copy
    leaves much of its row space (see Zhu et al. 2025, arXiv:2502.12292, on the independence of
    models by their first weights). With P the projector onto the row space of B A of a layer,
    rank r, d inputs: the tensor sketch of P - r/d I, summed over the layers as in `sketch`, as a
    unit vector. Two random row spaces have the product 0, equal ones 1, whatever B is.
    """
    total = np.zeros(ROW_SPACE_SIZE)
    for module, pair in adapter.modules.items():
        mixed = np.linalg.qr(pair.b.astype(np.float64), mode="r") @ pair.a.astype(np.float64)
        _, sizes, rows = np.linalg.svd(mixed, full_matrices=False)
        rows = rows[sizes > _LEAST_DIRECTION * sizes.max(initial=0.0)]
        own = _tensor_sketch(module, rows.T, rows, ROW_SPACE_SIZE)
        width = rows.shape[1]
        chance = len(rows) / width * _identity_sketch(module, width, ROW_SPACE_SIZE)
        total += own - chance
    return _unit(total).astype(np.float16)


def _unit(vector: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    norm = float(np.linalg.norm(vector))
    return vector / norm if norm else vector


def _tensor_sketch(
    module: str, b: npt.NDArray[Any], a: npt.NDArray[Any], size: int
) -> npt.NDArray[np.float64]:
    """The tensor sketch of B A, [size], for B [out, r] and A [r, in], with the layer's signs."""
    left = np.fft.rfft(_counts("out", b.shape[0], size) @ b.astype(np.float64), axis=0)
    right = np.fft.rfft(_counts("in", a.shape[1], size) @ a.T.astype(np.float64), axis=0)
    own = np.fft.irfft((left * right).sum(axis=1), n=size)
    return _signs(_hashed(module, size)) * own


@lru_cache(maxsize=64)
def _identity_sketch(module: str, width: int, size: int) -> npt.NDArray[np.float64]:
    """What `_tensor_sketch` gives for the identity, [width, width]."""
    out, into = _hashed(f"out {width}", width), _hashed(f"in {width}", width)
    places = (out % size + into % size) % size
    own = np.bincount(places, _signs(out) * _signs(into), minlength=size)
    return _signs(_hashed(module, size)) * own


@lru_cache(maxsize=32)
def _counts(side: str, columns: int, size: int) -> csr_array:
    """The count sketch [size, columns] of one side: one ±1 in every column."""
    numbers = _hashed(f"{side} {columns}", columns)
    places = (numbers % size, np.arange(columns))
    return csr_array((_signs(numbers), places), shape=(size, columns))


def _signs(numbers: npt.NDArray[np.uint32]) -> npt.NDArray[np.float64]:
    return np.where(numbers >> 31, -1.0, 1.0).astype(np.float64)


def _hashed(seed: str, count: int) -> npt.NDArray[np.uint32]:
    """Random numbers from a hash: the same with every version of numpy."""
    raw = hashlib.shake_256(f"finegrade sketch 1 {seed}".encode()).digest(4 * count)
    return np.frombuffer(raw, "<u4").astype(np.uint32)
