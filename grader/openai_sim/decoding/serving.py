"""The models that the service serves: loaded bases and the adapters of fine-tuned models."""

from __future__ import annotations

import gc
import hashlib
import itertools
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from grader.core.constants import COURSE_MODEL, FORK_WITH_TORCH, PROMPTED_MODELS
from grader.core.files import resource, sha256_of
from grader.core.nouns import BaseModel
from grader.openai_sim.decoding.decoding import AdapterCache
from grader.openai_sim.decoding.grammar_process import GrammarProcess
from grader.openai_sim.decoding.model_names import base_names, found_model

if TYPE_CHECKING:
    from grader.models.adapter_files import AdapterFiles
    from grader.models.base_model import LoadedBase
    from grader.openai_sim.decoding.continuous_batching import Batcher
    from grader.openai_sim.decoding.decoding import DecodingProcess
    from grader.openai_sim.decoding.sequences import Completion, Generation
    from grader.openai_sim.store.store import SimulatorStore

READER, CHAT = PROMPTED_MODELS
DEFAULT_CONTEXT_TOKENS: Final = 4096  # of bases whose config names none
_OWNERS: Final = itertools.count()


class UnknownModel(LookupError):
    """No loaded base and no fine-tuned model has this name."""


@dataclass(frozen=True, slots=True)
class ServedModel:
    """A model that takes requests: its base, and its adapter with its folder.

    `grammars` follows the response formats of these requests.
    """

    name: str
    base_name: str
    base: LoadedBase
    folder: Path | None
    adapter: AdapterFiles | None
    grammars: GrammarProcess

    @property
    def context(self) -> int:
        """The number of tokens that a prompt and its completion may have together."""
        config = self.base.model.config
        return int(getattr(config, "max_position_embeddings", 0) or DEFAULT_CONTEXT_TOKENS)

    @property
    def fingerprint(self) -> str:
        """Changes exactly when the weights change."""
        own = self.base.digest + (self.adapter.digest if self.adapter else "")
        return f"fp_{hashlib.sha256(own.encode()).hexdigest()[:10]}"


class Server:
    """Serves bases and their fine-tuned models. Safe to use from many threads."""

    def __init__(
        self,
        bases: Mapping[str, LoadedBase],
        adapter_of: Callable[[str], Path | None] = lambda name: None,
        rows: int | None = None,
    ) -> None:
        """`adapter_of` gives the folder of a fine-tuned model's adapter, None for a base's name.

        It may raise errors of its own for names that are unknown or retired. The first of `bases`
        is that of fine-tuned models whose name names no other. At most `rows` completions are
        decoded at once; with 1 a completion is to the bit what it is alone.
        """
        self._bases = dict(bases)
        self._adapter_of = adapter_of
        self._adapters = AdapterCache()
        self._rows = rows
        self._owner = next(_OWNERS)
        self._grammars = GrammarProcess()
        self._batchers: dict[str, Batcher] = {}
        self._lock = threading.Lock()
        self._process: DecodingProcess | None = None

    def decode_apart(self) -> None:
        """Decode in a process of its own from now on, where the platform allows it.

        Must be called before the first request, and only where torch has one thread: a forked
        process has no threads of a pool.
        """
        from grader.openai_sim.decoding.decoding import DecodingProcess

        if FORK_WITH_TORCH:
            self._process = DecodingProcess(self._bases)

    @property
    def bases(self) -> tuple[str, ...]:
        """The names of the bases, the default one first."""
        return tuple(self._bases)

    def model(self, name: str) -> ServedModel:
        """The model of this name, its adapter read.

        Raises UnknownModel, what `adapter_of` raises, and FileRefused for a broken adapter.
        """
        folder = self._adapter_of(name)
        base_name = name if folder is None else self._base_of(name)
        if base_name not in self._bases:
            raise UnknownModel(name)
        adapter = None if folder is None else self._adapters.read(folder)
        base = self._bases[base_name]
        return ServedModel(name, base_name, base, folder, adapter, self._grammars)

    def submit(self, model: ServedModel, generations: Sequence[Generation]) -> Sequence[Completion]:
        """Queue the generations of one request; raises Overloaded when the queue is full."""
        if self._process is not None and self._process.alive:
            return self._process.submit(model.base, model.folder, generations)
        theirs = [replace(one, adapter=model.adapter, owner=self._owner) for one in generations]
        return self._batcher(model.base_name).submit(theirs)

    @property
    def waiting(self) -> int:
        """The number of incomplete generations."""
        apart = 0 if self._process is None else self._process.waiting
        return apart + sum(sum(batcher.load) for batcher in self._batchers.values())

    def close(self) -> None:
        """Stop; incomplete generations fail."""
        self._grammars.close()
        if self._process is not None:
            self._process.close()
        for batcher in self._batchers.values():
            batcher.close()

    def _batcher(self, base: str) -> Batcher:
        """The base's batcher, whose thread runs from the first request on."""
        from grader.openai_sim.decoding.continuous_batching import MAX_ROWS, Batcher

        with self._lock:
            if base not in self._batchers:
                self._batchers[base] = Batcher(self._bases[base], self._rows or MAX_ROWS)
            return self._batchers[base]

    def _base_of(self, name: str) -> str:
        """The base that a fine-tuned model's name names: `ft:<base>:...`."""
        named = name.split(":")[1] if name.count(":") else ""
        return named if named in self._bases else self.bases[0]


class NamedServer(Server):
    """A server whose first base is also served under each of `base_names()`."""

    def __init__(
        self, bases: Mapping[str, LoadedBase], store: SimulatorStore, rows: int | None = None
    ) -> None:
        """`store` knows the tuned models."""
        self._find = adapter_of(store)
        super().__init__(bases, self._find, rows)

    @contextmanager
    def beside(self, store: SimulatorStore) -> Iterator[NamedServer]:
        """The server of a run, whose models are in `store`. It shares this one's bases.

        The generations of several such servers take turns. What schemas cause has limits for the
        run, and ends with it.
        """
        other = copy(self)
        other._find = other._adapter_of = adapter_of(store)
        other._adapters = AdapterCache()
        other._owner = next(_OWNERS)
        other._grammars = GrammarProcess(run=True)
        try:
            yield other
        finally:
            other._grammars.close()

    def model(self, name: str) -> ServedModel:
        """See Server; raises ApiError for a model that does not exist or is retired."""
        if name in base_names() and name not in self.bases:
            self._find(name)
            return replace(super().model(self.bases[0]), name=name)
        return super().model(name)


def adapter_of(store: SimulatorStore) -> Callable[[str], Path | None]:
    """A function from a model's name to its adapter's folder, None for a base.

    It raises ApiError for a model that does not exist or is retired.
    """

    def found(name: str) -> Path | None:
        adapter = found_model(store, name).adapter
        return None if adapter is None else store.adapters_folder / adapter

    return found


def open_bases(
    base: BaseModel | None = None, device: str = "cpu", *, reader: bool = True
) -> dict[str, LoadedBase]:
    """The base of the service (None: the course model).

    Beside the course model stand those made for prompts, unless `reader` is false.

    Raises UsageError and GraderFault as `grader.models.base_model.load_base` does.
    """
    from grader.models.base_model import load_base, load_folder

    chosen = base or BaseModel(COURSE_MODEL, sha256_of(_weights(COURSE_MODEL)))
    bases = {chosen.name: load_base(chosen, device)}
    if reader and chosen.name == COURSE_MODEL:
        bases |= {name: load_folder(resource("starter", name), device) for name in PROMPTED_MODELS}
    # Loaded models stay. To search their half a million objects for garbage, as Python does now and
    # then, would stop every request for a third of a second.
    gc.freeze()
    return bases


def _weights(name: str) -> Path:
    return resource("starter", name) / "model.safetensors"
