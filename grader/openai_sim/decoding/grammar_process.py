"""What untrusted schemas cause, in a process with limits that ends with whoever asked.

See `grammar_program`, the program of that process, for why.
"""

from __future__ import annotations

import itertools
import json
import os
import socket
import subprocess
import sys
import threading
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np

from grader.core.constants import MIB
from grader.openai_sim.decoding import grammar_program
from grader.openai_sim.decoding.grammar_program import ACCEPTING, HEAD, STOPPED, receive, send
from grader.openai_sim.decoding.sequences import Allowed, BadSchema

if TYPE_CHECKING:
    from grader.models.base_model import LoadedBase

RUN_CPU_SECONDS: Final = 20  # of one process of a run: 300 answers in a format take three
_COMPILE_CPU_SECONDS: Final = 2.0  # a schema at the documented limits takes a quarter of it
_STEP_CPU_SECONDS: Final = 0.5  # a token takes 0.0001; others wait for it
_MEMORY_BYTES: Final = 128 * MIB  # beside the tokenizer; an anyOf of 3,000 objects takes 13
_WAIT_SECONDS: Final = 120.0  # for a reply, on a machine that is busy
_STARTS: Final = 3  # of a run's process: one that a limit ended is started again twice
_ENVIRONMENT: Final = ("HOME", "LANG", "PATH", "PYTHONPATH")  # what Python needs to find itself
_TOO_MUCH: Final = "it takes more memory or processor time than a schema may"
_USED_UP: Final = "schemas of this run have taken all the memory or time that they may"


@dataclass(frozen=True, slots=True)
class Grammar:
    """A grammar that can be followed: a JSON schema or a regular expression of llguidance.

    `size` is the number of tokens of its text.
    """

    form: Literal["json", "regex"]
    text: str
    size: int


class GrammarProcess:
    """Compiles and follows grammars, in one process a base. Safe to use from many threads.

    The processes start when they are needed first. `run`: they belong to one run, whose processor
    time is limited as a whole, and whose process is not started anew without end.
    """

    def __init__(self, *, run: bool = False) -> None:
        self._cpu_seconds = RUN_CPU_SECONDS if run else None
        self._starts = 0
        self._most_starts = _STARTS if run else None
        self._lines: dict[int, _Line] = {}
        self._lock = threading.Lock()
        self._closed = False

    def grammar(self, base: LoadedBase, form: Literal["json", "regex"], text: str) -> Grammar:
        """This grammar, once it is known that text can follow it. Raises BadSchema."""
        state = GrammarState(self, base, Grammar(form, text, 0))
        return Grammar(form, text, state.size)

    def close(self) -> None:
        """End the processes, whatever they are doing."""
        with self._lock:
            self._closed = True
            lines = list(self._lines.values())
            self._lines.clear()
        for line in lines:
            line.close()

    def line(self, base: LoadedBase) -> _Line:
        """The line to the process of this base. Raises BadSchema where none may start any more."""
        with self._lock:
            line = self._lines.get(id(base))
            if line is None or line.broken:
                if self._closed or self._worn_out():
                    raise BadSchema(_USED_UP)
                if line is not None:
                    line.close()
                self._starts += 1
                line = self._lines[id(base)] = _Line(base, self._cpu_seconds)
            return line

    def _worn_out(self) -> bool:
        return self._most_starts is not None and self._starts >= self._most_starts


class GrammarState:
    """Where one answer is in its grammar: whether it is `stopped` or complete (`accepting`).

    `size` is that of the grammar.
    """

    def __init__(self, process: GrammarProcess, base: LoadedBase, grammar: Grammar) -> None:
        """Raises BadSchema."""
        self._line = process.line(base)
        self._number = self._line.number()
        self._mask = b""
        self.size = 0
        self.stopped = self.accepting = False
        self._ask({"form": grammar.form, "text": grammar.text})

    def allowed(self, vocabulary: int) -> Allowed:
        """Which tokens [vocabulary] may come next."""
        bits = np.frombuffer(self._mask, dtype=np.uint8)
        return np.unpackbits(bits, count=vocabulary, bitorder="little").astype(bool)

    def consume(self, token: int) -> None:
        """Go on with this token. Raises BadSchema."""
        self._ask({"token": token})

    def __del__(self) -> None:
        if hasattr(self, "_number"):
            self._line.forget(self._number)

    def _ask(self, asked: dict[str, Any]) -> None:
        reply = self._line.ask({"state": self._number, **asked})
        if not reply.startswith(b"s"):
            raise BadSchema(reply[1:].decode(errors="replace"))
        _, self.size, flags = HEAD.unpack_from(reply)
        self.stopped, self.accepting = bool(flags & STOPPED), bool(flags & ACCEPTING)
        self._mask = reply[HEAD.size :]


class _Line:
    """One process and the line to it."""

    def __init__(self, base: LoadedBase, cpu_seconds: int | None) -> None:
        self._numbers = itertools.count()
        self._lock = threading.Lock()
        self._forgotten: list[int] = []
        self.broken = False
        self._socket, theirs = socket.socketpair()
        self._socket.settimeout(_WAIT_SECONDS)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-P", str(Path(grammar_program.__file__))],
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env={name: os.environ[name] for name in _ENVIRONMENT if name in os.environ},
            )
        given = {
            "tokenizer": described_tokenizer(base),
            "vocabulary": int(base.model.config.vocab_size),
            "end_of_turn": base.tokenizer.eos_token_id,
            "memory_bytes": _MEMORY_BYTES,
            "cpu_seconds": cpu_seconds,
            "compile_seconds": _COMPILE_CPU_SECONDS,
            "step_seconds": _STEP_CPU_SECONDS,
        }
        try:
            send(self._socket, json.dumps(given).encode())
        except OSError:
            self.broken = True

    def number(self) -> int:
        """The number of a new state."""
        return next(self._numbers)

    def forget(self, number: int) -> None:
        """Let a state go, together with the next message: this may run anywhere in a collection."""
        self._forgotten.append(number)

    def ask(self, asked: dict[str, Any]) -> bytes:
        """The reply; raises BadSchema when the process ends over it."""
        with self._lock:
            if self.broken:
                raise BadSchema(_TOO_MUCH)
            try:
                while self._forgotten:
                    closed = {"state": self._forgotten.pop(), "close": True}
                    send(self._socket, json.dumps(closed).encode())
                send(self._socket, json.dumps(asked).encode())
                return receive(self._socket)
            except OSError:
                self.broken = True
                self._process.kill()
                raise BadSchema(_TOO_MUCH) from None

    def close(self) -> None:
        """End the process; whoever waits for it gets an error."""
        self._process.kill()
        self._process.wait()
        with self._lock:
            self.broken = True
            self._socket.close()


@lru_cache(maxsize=8)
def described_tokenizer(base: LoadedBase) -> str:
    """The base's tokenizer as llguidance takes it, in JSON.

    A byte-level tokenizer's normalizer is left out: one that puts a blank before the text (as the
    course model's does) would turn the text that a grammar demands into other text.
    """
    described = json.loads(base.tokenizer.backend_tokenizer.to_str())
    if (described.get("decoder") or {}).get("type") == "ByteLevel":
        described["normalizer"] = None
    described["padding"] = described["truncation"] = None
    return json.dumps(described)


OWN: Final = GrammarProcess()
"""That of this process, for guides that came here from another one."""
