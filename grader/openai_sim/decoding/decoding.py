"""The decoding process: batchers apart from the service, so that requests are parsed meanwhile.

Both are Python, and within one interpreter they take turns: of 64 requests at once, all were parsed
before the first was decoded (`scripts/bench_serving.py`). The process is forked once the models are
loaded, so it shares their memory, and it ends with the service, however that ends.

Also the cache of fine-tuned models' adapters, which either process has.
"""

from __future__ import annotations

import asyncio
import io
import itertools
import logging
import multiprocessing
import os
import pickle
import signal
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from grader.core.nouns import Submission, SubmittedFile
from grader.models.base_model import LoadedBase
from grader.openai_sim.decoding.continuous_batching import MAX_WAITING, Batcher
from grader.openai_sim.decoding.sequences import (
    BadSchema,
    Completion,
    Finish,
    Generation,
    Overloaded,
    TextDelta,
    TokenScore,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from grader.models.adapter_files import AdapterFiles

ADAPTERS_KEPT: Final = 32  # in memory; one of rank 8 for the course model takes 0.4 MB


class AdapterCache:
    """The adapters that were used last. Safe to use from many threads."""

    def __init__(self) -> None:
        self._held: OrderedDict[Path, tuple[int, AdapterFiles]] = OrderedDict()
        self._lock = threading.Lock()

    def read(self, folder: Path) -> AdapterFiles:
        """The adapter in this folder as it is now; FileRefused for a broken one."""
        from grader.models.adapter_files import WEIGHTS_FILE, read_adapter

        written = (folder / WEIGHTS_FILE).stat().st_mtime_ns
        with self._lock:
            held = self._held.get(folder)
            if held is not None and held[0] == written:
                self._held.move_to_end(folder)
                return held[1]
        adapter = read_adapter(as_submission(folder), folder.name)
        with self._lock:
            self._held[folder] = (written, adapter)
            if len(self._held) > ADAPTERS_KEPT:
                self._held.popitem(last=False)
        return adapter


def as_submission(folder: Path) -> Submission:
    """The adapter folder in the form that the adapter's reader takes."""
    files = []
    for path in sorted(folder.iterdir()):
        with suppress(OSError):
            files.append(SubmittedFile(f"{folder.name}/{path.name}", path.stat().st_size, ""))
    return Submission("adapter", folder.parent, "", tuple(files))


MAX_BUNDLE: Final = 16  # messages sent together; more would keep the other process waiting
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Request:
    """A generation to decode; `folder` is that of its adapter."""

    number: int
    base: str
    folder: Path | None
    generation: Generation
    streamed: bool


@dataclass(frozen=True, slots=True)
class _Result:
    """A finished completion; `error` says why there is none, `refused`: by its schema's fault."""

    number: int
    text: str
    scores: list[TokenScore]
    tokens: int
    finish: Finish | None
    error: str | None
    refused: bool = False


class DecodingProcess:
    """One batcher a base, in a process that is forked here: no other thread may run yet."""

    def __init__(self, bases: Mapping[str, LoadedBase]) -> None:
        self._names = {id(base): name for name, base in bases.items()}
        self._numbers = itertools.count()
        self._pending: dict[int, Completion] = {}
        self._lock = threading.Lock()
        self._closing = False
        ours, theirs = multiprocessing.Pipe()
        self._line = ours
        self._outbox = _Outbox(ours, self._names)
        fork = multiprocessing.get_context("fork")
        self._process = fork.Process(
            target=_serve, args=(theirs, ours, bases), name="finegrade-decode", daemon=True
        )
        self._process.start()
        theirs.close()
        self._listener = threading.Thread(target=self._listen, name="decoded", daemon=True)
        self._listener.start()

    @property
    def alive(self) -> bool:
        """Whether it takes generations; after a crash it does not."""
        return self._process.is_alive()

    @property
    def waiting(self) -> int:
        """The number of incomplete generations."""
        return len(self._pending)

    def submit(
        self, base: LoadedBase, folder: Path | None, generations: Sequence[Generation]
    ) -> Sequence[Completion]:
        """Queue these generations, all or none; raises Overloaded when the queue is full."""
        answers = [_RemoteCompletion(one, next(self._numbers), self._post) for one in generations]
        with self._lock:
            if len(self._pending) + len(answers) > MAX_WAITING:
                raise Overloaded(len(self._pending))
            self._pending.update((answer.number, answer) for answer in answers)
        name = self._names[id(base)]
        for answer in answers:
            one = answer.generation
            bare = replace(one, adapter=None, on_piece=None, on_end=None)
            self._post(_Request(answer.number, name, folder, bare, one.on_piece is not None))
        return answers

    def close(self) -> None:
        """End the process; incomplete generations fail."""
        self._closing = True
        self._process.terminate()
        self._process.join()
        self._listener.join()  # the line has ended
        self._line.close()

    def _post(self, message: _Request | int) -> None:
        """Send this; from an event loop, together with the other messages of the same iteration."""
        if self._outbox.add(message) >= MAX_BUNDLE:
            self._send()
            return
        try:
            asyncio.get_running_loop().call_soon(self._send)
        except RuntimeError:  # a thread without a loop
            self._send()

    def _send(self) -> None:
        try:
            self._outbox.send()
        except OSError:
            self._fail_pending()

    def _listen(self) -> None:
        """Take the messages of the process until it or this one ends."""
        while True:
            try:
                messages = pickle.loads(self._line.recv_bytes())
            except (EOFError, OSError):
                break
            for message in messages:
                self._take(pickle.loads(message))
        self._fail_pending()

    def _take(self, message: _Result | tuple[int, TextDelta]) -> None:
        if not isinstance(message, _Result):
            number, piece = message
            with self._lock:
                writing = self._pending.get(number)
            if writing is not None and writing.generation.on_piece is not None:
                writing.generation.on_piece(piece)
            return
        with self._lock:
            answer = self._pending.pop(message.number, None)
        if answer is None:  # failed already
            return
        answer.text, answer.scores = message.text, message.scores
        answer.tokens, answer.finish = message.tokens, message.finish
        if message.error is None:
            answer.end()
        else:
            kind = BadSchema if message.refused else RuntimeError
            answer.fail(kind(message.error))

    def _fail_pending(self) -> None:
        """Fail what is incomplete: the process is gone."""
        with self._lock:
            lost = list(self._pending.values())
            self._pending.clear()
        if not self._closing:
            _LOG.warning("The decoding process ended; %d completions are lost.", len(lost))
            self._closing = True  # logged once
        for answer in lost:
            answer.fail(RuntimeError("the decoding process ended"))


class _Outbox:
    """Messages for the other process, sent in bundles. Safe to use from many threads."""

    def __init__(self, line: Connection, names: Mapping[int, str]) -> None:
        self._line, self._names = line, names
        self._messages: list[bytes] = []
        self._adding = threading.Lock()
        self._sending = threading.Lock()

    def add(self, message: object) -> int:
        """Add this to the next bundle; returns the bundle's length."""
        buffer = io.BytesIO()
        _Pickler(buffer, self._names).dump(
            message
        )  # here: one that cannot be pickled harms no other
        with self._adding:
            self._messages.append(buffer.getvalue())
            return len(self._messages)

    def send(self) -> None:
        """Send the bundle; raises OSError when the other process is gone."""
        with self._sending:
            with self._adding:
                messages, self._messages = self._messages, []
            if messages:
                self._line.send_bytes(pickle.dumps(messages, pickle.HIGHEST_PROTOCOL))


class _RemoteCompletion(Completion):
    """A completion that the decoding process writes."""

    def __init__(self, generation: Generation, number: int, post: Callable[[int], None]) -> None:
        """`post` sends the process the number of a completion to cancel."""
        super().__init__(generation)
        self.number, self._post = number, post

    def cancel(self) -> None:
        """See Completion."""
        super().cancel()
        if not self.finished:
            self._post(self.number)


class _Pickler(pickle.Pickler):
    """Pickles bases as their names: both processes have them."""

    def __init__(self, file: io.BytesIO, names: Mapping[int, str]) -> None:
        super().__init__(file, pickle.HIGHEST_PROTOCOL)
        self._names = names

    def persistent_id(self, obj: Any) -> str | None:
        return self._names[id(obj)] if isinstance(obj, LoadedBase) else None


class _Unpickler(pickle.Unpickler):
    def __init__(self, data: bytes, bases: Mapping[str, LoadedBase]) -> None:
        super().__init__(io.BytesIO(data))
        self._bases = bases

    def persistent_load(self, pid: Any) -> LoadedBase:
        return self._bases[pid]


def _serve(line: Connection, other_end: Connection, bases: Mapping[str, LoadedBase]) -> None:
    """Decode until the other process closes the line or is gone."""
    other_end.close()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the service, which then ends us
    outbox = _Outbox(line, {})

    def send() -> None:
        try:
            outbox.send()
        except OSError:
            os._exit(0)

    batchers = {name: Batcher(base, after_step=send) for name, base in bases.items()}
    adapters = AdapterCache()
    rows: dict[int, Completion] = {}
    while True:
        try:
            bundle = pickle.loads(line.recv_bytes())
        except (EOFError, OSError):
            os._exit(0)  # at once: nobody waits for the current step
        messages: list[_Request | int] = [_Unpickler(message, bases).load() for message in bundle]
        for name, batcher in batchers.items():
            requests = [m for m in messages if isinstance(m, _Request) and m.base == name]
            _begin(requests, batcher, adapters, rows, outbox)
        for message in messages:
            if isinstance(message, int) and message in rows:
                rows[message].cancel()
        send()


def _begin(
    requests: Sequence[_Request],
    batcher: Batcher,
    adapters: AdapterCache,
    rows: dict[int, Completion],
    outbox: _Outbox,
) -> None:
    generations = []
    for one in requests:
        try:
            generations.append((one.number, _generation(one, adapters, rows, outbox)))
        except Exception as error:  # it concerns this generation alone
            _LOG.exception("a generation could not begin")
            outbox.add(_Result(one.number, "", [], 0, None, str(error)))
    if not generations:
        return
    answers = batcher.submit([generation for _, generation in generations])
    for (number, _), answer in zip(generations, answers, strict=True):
        rows[number] = answer
        if answer.finished:  # meanwhile
            rows.pop(number, None)


def _generation(
    request: _Request, adapters: AdapterCache, rows: dict[int, Completion], outbox: _Outbox
) -> Generation:
    """The generation for the batcher; its deltas and its end go to the outbox."""

    def on_piece(piece: TextDelta) -> None:
        outbox.add((request.number, piece))

    def on_end(answer: Completion) -> None:
        rows.pop(request.number, None)
        error = None if answer.error is None else str(answer.error)
        refused = isinstance(answer.error, BadSchema)
        text, scores = answer.text, answer.scores
        outbox.add(
            _Result(request.number, text, scores, answer.tokens, answer.finish, error, refused)
        )

    return replace(
        request.generation,
        adapter=None if request.folder is None else adapters.read(request.folder),
        on_piece=on_piece if request.streamed else None,
        on_end=on_end,
    )
