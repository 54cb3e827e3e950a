"""The shapes of a base model's linear layers: all that is needed to tell whether an adapter fits.

The course model ships with them in `linear_shapes.json`, so a base install needs no torch.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from grader.core.constants import SHIPPED_BASES
from grader.core.errors import GraderFault
from grader.core.files import home, resource
from grader.core.nouns import BaseModel

SHAPES_FILE = "linear_shapes.json"
_SCHEMA = "finegrade/linear-shapes/v1"


@dataclass(frozen=True, slots=True)
class BaseProfile:
    """`linear_shapes`: (out, in) of every linear layer but the output head, by module path.

    `name` is the base's title.
    """

    name: str
    linear_shapes: Mapping[str, tuple[int, int]]
    digest: str


@lru_cache(maxsize=4)
def profile_for(base: BaseModel) -> BaseProfile:
    """The profile of an assignment's base.

    That of a hub model or a folder is worked out once from its config, without weights, and kept
    under `home()`. Raises GraderFault when there is no config on this machine, or torch is needed
    and not installed.
    """
    if base.name in SHIPPED_BASES:
        return profile_from_folder(resource("starter", base.name))
    kept = home() / "profiles" / f"{base.title.replace('/', '--')}@{base.revision}.json"
    if kept.is_file():
        return _read(kept, base.title)
    shapes = _shapes_on_meta(base.name, None if base.is_folder else base.revision)
    kept.parent.mkdir(parents=True, exist_ok=True)
    _write(kept, shapes)
    return _profile(base.title, shapes)


def profile_from_folder(base_dir: Path) -> BaseProfile:
    """The profile of the model in this folder: from its `linear_shapes.json`, else computed."""
    shipped = base_dir / SHAPES_FILE
    if shipped.is_file():
        return _read(shipped, base_dir.name)
    return _profile(base_dir.name, _shapes_on_meta(str(base_dir), None))


def write_profile(base_dir: Path) -> Path:
    """Compute the shapes of the model in this folder and write its `linear_shapes.json`."""
    path = base_dir / SHAPES_FILE
    _write(path, _shapes_on_meta(str(base_dir), None))
    return path


def _shapes_on_meta(source: str, revision: str | None) -> dict[str, tuple[int, int]]:
    """Shapes from the model built without weights; runs no code of the model's, fetches nothing."""
    try:
        import torch
        from transformers import AutoConfig, AutoModelForCausalLM

        from grader.models.linear_layers import linear_layers, shape_of
    except ImportError as error:
        raise GraderFault(
            f"The shapes of {source} are not known, and working them out needs torch and "
            "transformers."
        ) from error
    try:
        config = AutoConfig.from_pretrained(
            source, revision=revision, local_files_only=True, trust_remote_code=False
        )
    except (OSError, ValueError) as error:
        raise GraderFault(
            f"{source} is not on this machine. Fetch it first: hf download {source} config.json"
            f"{f' --revision {revision}' if revision else ''}"
        ) from error
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config, trust_remote_code=False)
    return {path: shape_of(layer) for path, layer in linear_layers(model).items()}


def _profile(name: str, shapes: Mapping[str, tuple[int, int]]) -> BaseProfile:
    return BaseProfile(name, shapes, hashlib.sha256(_canonical(shapes).encode()).hexdigest())


def _canonical(shapes: Mapping[str, tuple[int, int]]) -> str:
    lists = {path: list(shape) for path, shape in sorted(shapes.items())}
    return json.dumps({"schema": _SCHEMA, "linear_shapes": lists}) + "\n"


def _write(path: Path, shapes: Mapping[str, tuple[int, int]]) -> None:
    """Write atomically: another process may be reading."""
    descriptor, name = tempfile.mkstemp(dir=path.parent)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(_canonical(shapes))
    os.chmod(name, 0o644)
    os.replace(name, path)


def _read(path: Path, name: str) -> BaseProfile:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        shapes = {m: (int(out), int(into)) for m, (out, into) in document["linear_shapes"].items()}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise GraderFault(f"{path} is damaged: {error}") from error
    return _profile(name, shapes)
