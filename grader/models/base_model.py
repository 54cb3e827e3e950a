"""The base model of an assignment: its folder, its digest, and how it is loaded.

Nothing is fetched: a hub model must lie in the local cache at the pinned revision.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from grader.core.constants import SHIPPED_BASES
from grader.core.errors import GraderFault, UsageError
from grader.core.files import resource, sha256_of
from grader.core.nouns import BaseModel

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, slots=True)
class LoadedBase:
    """A loaded base: the model in evaluation mode, its tokenizer and its device."""

    model: Any
    tokenizer: Any
    digest: str
    device: str

    def forward(
        self, ids: torch.Tensor, mask: torch.Tensor, positions: torch.Tensor, cache: Any, keep: int
    ) -> Any:
        """A forward pass over ids [rows, n] behind the cache; logits of the last `keep` tokens."""
        return self.model(
            input_ids=ids,
            attention_mask=mask,
            position_ids=positions,
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=keep,
        )


def base_folder(base: BaseModel) -> Path:
    """The folder that holds the base's files.

    Raises GraderFault when its files are not those that the assignment pins, and when a hub model
    is not in the cache or not whole, with the command that fetches it; UsageError when the base
    install cannot look there.
    """
    if base.is_folder:
        return _given_folder(base)
    if base.name in SHIPPED_BASES:
        folder = resource("starter", base.name)
        if _digest_of(folder / "model.safetensors") != base.revision:
            raise GraderFault(
                f"{folder} does not hold the weights that the assignment pins. Install finegrade "
                "again, or pin the sha256 of your own weights as the base's revision."
            )
        return folder
    try:
        from huggingface_hub import snapshot_download
    except ImportError as error:
        raise needs_models(error) from error
    fetch = f"Fetch it first: hf download {base.name} --revision {base.revision}"
    try:
        found = Path(snapshot_download(base.name, revision=base.revision, local_files_only=True))
    except OSError as error:  # huggingface_hub's LocalEntryNotFoundError is one
        raise GraderFault(
            f"{base.name} at {base.revision} is not in the local cache. {fetch}"
        ) from error
    if absent := _absent_weights(found):
        raise GraderFault(f"{base.name} in the local cache has no {absent[0]}. {fetch}")
    return found


def _given_folder(base: BaseModel) -> Path:
    folder = Path(base.name)
    absent = _absent_weights(folder)
    if absent:
        raise GraderFault(
            f"The base {base.name} has no {absent[0]}. Save it there: model.save_pretrained(folder)"
            " and tokenizer.save_pretrained(folder)."
        )
    if (digest := base_digest(folder)) != base.revision:
        raise GraderFault(
            f"{base.name} is not the model that the assignment pins. If it is the right one, write "
            f"its digest as the base's revision: {digest}"
        )
    return folder


def _absent_weights(folder: Path) -> list[str]:
    """The files of the weights that are not there: one file, or all that the index names."""
    index = folder / "model.safetensors.index.json"
    names = {"model.safetensors"}
    if index.is_file():
        try:
            names = {str(name) for name in json.loads(index.read_bytes())["weight_map"].values()}
        except (ValueError, KeyError, AttributeError) as error:
            raise GraderFault(f"{index} is damaged: {error}") from error
    return sorted(name for name in names if not (folder / name).is_file())


def needs_models(error: ImportError) -> UsageError:
    """The error for an import that needs more than the base install."""
    return UsageError(
        f"Running models needs more than the base install ({error}). "
        'Install it: pip install "finegrade[models]"'
    )


_digest_of = cache(sha256_of)

_DETERMINING = (
    "config",
    "generation_config",
    "tokenizer",
    "special_tokens",
    "added_tokens",
    "chat_template",
    "vocab",
    "merges",
    "model",
)


@cache
def base_digest(folder: Path) -> str:
    """sha256 over the names and contents of the files that determine the base's answers."""
    digest = hashlib.sha256()
    for path in sorted(folder.iterdir()):
        if path.name.startswith(_DETERMINING):  # not its card, nor what was measured of it
            digest.update(path.name.encode() + b"\0")
            digest.update(bytes.fromhex(_digest_of(path)))
    return digest.hexdigest()


def load_base(base: BaseModel, device: str = "cpu") -> LoadedBase:
    """Load the base: float32 on the CPU, its own dtype elsewhere. Runs no code of the model's.

    Raises UsageError when torch cannot use the device.
    """
    import torch
    from transformers.utils import logging

    _check_device(device)
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    if base.name in SHIPPED_BASES:
        # At this size a second thread gains little and, on a busy machine, costs a lot; and one
        # thread always adds numbers up in the same order.
        torch.set_num_threads(1)
    return load_folder(base_folder(base), device)


def load_folder(folder: Path, device: str) -> LoadedBase:
    """Load the model in `folder`; the caller has checked the device and the pinned weights."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    dtype = torch.float32 if device == "cpu" else "auto"
    model = AutoModelForCausalLM.from_pretrained(
        folder, dtype=dtype, local_files_only=True, trust_remote_code=False, use_safetensors=True
    )
    tokenizer = AutoTokenizer.from_pretrained(
        folder, local_files_only=True, trust_remote_code=False, padding_side="left"
    )
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    return LoadedBase(model.to(device).eval(), tokenizer, base_digest(folder), device)


def _check_device(device: str) -> None:
    import torch

    try:
        kind = torch.device(device).type
    except RuntimeError as error:
        raise UsageError(f"--device {device}: there is no such device; cpu or cuda.") from error
    if kind == "cuda" and not torch.cuda.is_available():
        raise UsageError(f"--device {device}: torch finds no CUDA GPU here. Use --device cpu.")
