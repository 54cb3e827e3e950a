"""The header of a safetensors file, read without the library that reads it for training.

Format: https://huggingface.co/docs/safetensors, "Format": eight bytes of header length, a JSON
header, then the tensors' bytes without gaps. The library accepts equal keys and headers of 90 MB.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, BinaryIO, NoReturn

import numpy as np
import numpy.typing as npt

from grader.core.constants import ADAPTER_MAX_HEADER_BYTES, ADAPTER_MAX_TENSORS
from grader.core.errors import FileRefused
from grader.core.strict_json import StrictJsonError, loads
from grader.intake.paths import shown

_MAX_DIMENSIONS = 8  # no layer has more; keeps the product of all below a few words
_ITEM_BYTES = {"F32": 4, "F16": 2, "BF16": 2}


@dataclass(frozen=True, slots=True)
class TensorEntry:
    """One tensor: `start` is counted in bytes from the beginning of the file."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    start: int

    @property
    def size(self) -> int:
        """Its length in bytes."""
        return math.prod(self.shape) * _ITEM_BYTES[self.dtype]


def read_header(file: BinaryIO, file_bytes: int) -> tuple[TensorEntry, ...]:
    """The tensors of the file, in the order of their bytes; raises FileRefused ADP003.

    Every byte behind the header belongs to exactly one tensor.
    """
    prefix = file.read(8)
    length = int.from_bytes(prefix, "little")
    if len(prefix) < 8 or not 2 <= length <= file_bytes - 8:
        _refuse("it is cut off")
    if length > ADAPTER_MAX_HEADER_BYTES:
        _refuse(f"its header is {length} bytes long, above {ADAPTER_MAX_HEADER_BYTES}")
    raw = file.read(length)
    if not raw.startswith(b"{"):
        _refuse("it has no safetensors header")
    try:
        header = loads(raw, max_bytes=ADAPTER_MAX_HEADER_BYTES)
    except StrictJsonError as error:
        _refuse(f"its header: {shown(error.message, 200)}")
    metadata = header.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(v, str) for v in metadata.values()):
        _refuse("its metadata is not a list of texts")
    if not 0 < len(header) <= ADAPTER_MAX_TENSORS:
        _refuse(f"it holds {len(header)} tensors; 1 to {ADAPTER_MAX_TENSORS} are taken")
    entries = [_entry(name, value) for name, value in header.items()]
    return _in_order(entries, 8 + length, file_bytes)


def _entry(name: str, value: Any) -> tuple[TensorEntry, int, int]:
    """The entry and its first and last offset as the header gives them."""
    if not isinstance(value, dict) or value.keys() != {"dtype", "shape", "data_offsets"}:
        _refuse(f"the header of {shown(name)!r} is not dtype, shape and data_offsets")
    if value["dtype"] not in ("F32", "F16", "BF16"):
        found = shown(str(value["dtype"]))
        _refuse(f"{shown(name)!r} holds numbers of type {found}; F32, F16 or BF16 are taken")
    shape, offsets = value["shape"], value["data_offsets"]
    whole = _whole_numbers(shape) and _whole_numbers(offsets)
    if not whole or len(shape) > _MAX_DIMENSIONS or len(offsets) != 2:
        _refuse(f"the shape or place of {shown(name)!r} is not a short list of whole numbers")
    return TensorEntry(name, value["dtype"], tuple(shape), 0), offsets[0], offsets[1]


def _whole_numbers(value: Any) -> bool:
    return isinstance(value, list) and all(type(n) is int and n >= 0 for n in value)


def _in_order(
    entries: list[tuple[TensorEntry, int, int]], data_start: int, file_bytes: int
) -> tuple[TensorEntry, ...]:
    placed = []
    expected = 0
    for entry, first, last in sorted(entries, key=lambda e: (e[1], e[2])):
        if first != expected or last - first != entry.size:
            _refuse(f"{shown(entry.name)!r} does not lie right behind the tensor before it")
        placed.append(TensorEntry(entry.name, entry.dtype, entry.shape, data_start + first))
        expected = last
    if data_start + expected != file_bytes:
        _refuse(
            f"it should be {data_start + expected} bytes long by its header but is {file_bytes}"
        )
    return tuple(placed)


def read_tensor(file: BinaryIO, entry: TensorEntry) -> npt.NDArray[np.float32]:
    """The tensor as a new float32 array of its shape."""
    file.seek(entry.start)
    raw = file.read(entry.size)
    if entry.dtype == "BF16":  # the upper half of a float32
        wide = np.frombuffer(raw, "<u2").astype("<u4") << 16
        return wide.view("<f4").astype(np.float32).reshape(entry.shape)
    kind = "<f4" if entry.dtype == "F32" else "<f2"
    return np.frombuffer(raw, kind).astype(np.float32).reshape(entry.shape)


def _refuse(why: str) -> NoReturn:
    raise FileRefused(
        "ADP003",
        f"The adapter's weights file cannot be read: {why}.",
        "Save the adapter again with model.save_pretrained(folder) and leave the file unchanged.",
    )
