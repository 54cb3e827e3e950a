"""The process that compiles grammars and follows them, under limits of its own.

A schema comes from an untrusted program. What becomes of it, an automaton of any size, lives here
and not in the service: the process ends with the run, and can be killed in the middle of anything.
It has no environment, no secret and no file of the service, and needs only the standard library
and llguidance.

Messages are length-prefixed, over a socket that is its standard input. The first one is the JSON of
the tokenizer and the limits. Each later one is a JSON object and has one reply: b"e" and a text
for what cannot be followed, else b"s", the number of tokens that the grammar's own text takes, the
flags below, and the mask of the tokens that may come next.
"""

from __future__ import annotations

import json
import resource
import signal
import socket
import struct
import sys
from collections import OrderedDict
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from llguidance import LLMatcher, LLTokenizer
    from llguidance._lib import JsonCompileOptions  # exported nowhere else

STOPPED: Final = 1
ACCEPTING: Final = 2
HEAD: Final = struct.Struct("!cIB")  # of a reply: its kind, the tokens and the flags
_LENGTH: Final = struct.Struct("!I")
_KEPT: Final = 8  # compiled grammars; the choices of a request and equal requests share one
_MAX_MESSAGE: Final = 64 * 2**20
_SEPARATORS: Final[JsonCompileOptions] = {
    "whitespace_flexible": False,
    "item_separator": ", ",
    "key_separator": ": ",
}


def send(line: socket.socket, message: bytes) -> None:
    """Send one message. Raises OSError when the other side is gone."""
    line.sendall(_LENGTH.pack(len(message)) + message)


def receive(line: socket.socket) -> bytes:
    """The next message. Raises OSError, be it that the other side is gone or too late."""
    (length,) = _LENGTH.unpack(_exactly(line, _LENGTH.size))
    if length > _MAX_MESSAGE:
        raise OSError("a message is too long")
    return _exactly(line, length)


def _exactly(line: socket.socket, size: int) -> bytes:
    data = bytearray()
    while len(data) < size:
        piece = line.recv(size - len(data))
        if not piece:
            raise OSError("the other side has closed the line")
        data += piece
    return bytes(data)


class _Grammars:
    """Compiled grammars, and for each answer under way where it is in its own."""

    def __init__(self, tokens: LLTokenizer) -> None:
        self._tokens = tokens
        self._compiled: OrderedDict[tuple[str, str], tuple[LLMatcher, int]] = OrderedDict()
        self._states: dict[int, tuple[LLMatcher, int]] = {}

    def reply(self, asked: dict[str, Any]) -> bytes:
        number = asked["state"]
        if "close" in asked:
            self._states.pop(number, None)
            return b""
        if "text" in asked:
            try:
                compiled, size = self._compile(asked["form"], asked["text"])
            except ValueError as error:
                return b"e" + _line(error)
            self._states[number] = compiled.deep_copy(), size
        state, size = self._states[number]
        if "token" in asked and not state.consume_token(asked["token"]):
            return b"e" + _line(state.get_error())
        stopped = state.is_stopped()
        mask = b"" if stopped else state.compute_bitmask()
        if state.is_error():
            return b"e" + _line(state.get_error())
        accepting = state.is_accepting()
        if not (stopped or accepting or any(mask)):
            return b"e" + b"no text can follow it"
        return HEAD.pack(b"s", size, STOPPED * stopped + ACCEPTING * accepting) + mask

    def _compile(self, form: str, text: str) -> tuple[LLMatcher, int]:
        """Raises ValueError for what llguidance cannot hold an answer to."""
        from llguidance import LLMatcher

        found = self._compiled.get((form, text))
        if found is None:
            if form == "json":
                grammar = LLMatcher.grammar_from_json_schema(text, overrides=_SEPARATORS)
            else:
                grammar = LLMatcher.grammar_from_regex(text)
            state = LLMatcher(self._tokens, grammar, log_level=0)
            if state.is_error():
                raise ValueError(state.get_error())
            found = state, len(self._tokens.tokenize_str(text))
            self._compiled[form, text] = found
            if len(self._compiled) > _KEPT:
                self._compiled.popitem(last=False)
        self._compiled.move_to_end((form, text))
        return found


def _line(text: object) -> bytes:
    """The first line of a message, cut to a length that fits into an answer."""
    return str(text).strip().split("\n", 1)[0][:200].encode(errors="replace")


def _limit(memory_bytes: int, cpu_seconds: int | None) -> None:
    """Limit what comes on top of what is loaded; a core of it would fill the disk."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if cpu_seconds is not None:
        resource.setrlimit(resource.RLIMIT_CPU, (cpu_seconds, cpu_seconds))
    with suppress(OSError, ValueError):  # elsewhere than on Linux
        with open("/proc/self/statm") as file:
            loaded = int(file.read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (loaded + memory_bytes,) * 2)


def main() -> None:
    """Answer until the service closes the line or is gone."""
    from llguidance import LLTokenizer

    line = socket.socket(fileno=sys.stdin.fileno())
    with suppress(OSError):
        given = json.loads(receive(line))
        grammars = _Grammars(
            LLTokenizer(
                given["tokenizer"], n_vocab=given["vocabulary"], eos_token=given["end_of_turn"]
            )
        )
        _limit(given["memory_bytes"], given["cpu_seconds"])
        while True:
            asked = json.loads(receive(line))
            # The signal has its default action: it ends the process, whatever it is doing.
            seconds = given["compile_seconds" if "text" in asked else "step_seconds"]
            signal.setitimer(signal.ITIMER_PROF, seconds)
            said = grammars.reply(asked)
            signal.setitimer(signal.ITIMER_PROF, 0)
            if said:
                send(line, said)


if __name__ == "__main__":
    main()
