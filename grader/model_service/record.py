"""The record of a run's model service: every request and its response, as the grader saw them.

The bytes come from an untrusted program; they are kept as they came, up to a limit.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from grader.core.constants import RECORD_MAX_BODY_BYTES, RECORD_MAX_BYTES
from grader.openai_sim.store.clock import ProgramClock
from grader.openai_sim.store.parameters import BODY_MAX_VALUES, json_values

CLIENT_LEFT: Final = 499
"""The status of an exchange whose client disconnected before its response."""

_BOUNDARY: Final = re.compile(rb'boundary="?([^";,\s]{1,70})')
_WIRE_HEADERS: Final = frozenset(
    {b"connection", b"content-length", b"date", b"server", b"transfer-encoding"}
)
"""Headers of one transfer, which a replay does not repeat."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request and its response. `at` and `seconds` are on the program's own clock.

    `request` and `reply` are base64, "" where there was no body and None where it was not kept
    (the run's record was full, or the body too long). Equal requests have equal `digest`s.
    `status` is CLIENT_LEFT where the client left first. `notes` say what the service did with it.
    """

    at: float
    seconds: float
    method: str
    path: str
    query: str
    digest: str
    status: int
    retry_count: int | None
    user_agent: str
    request: str | None
    reply: str | None
    reply_headers: tuple[tuple[str, str], ...]
    refused: str
    notes: Mapping[str, Any]

    def as_json(self) -> dict[str, Any]:
        """As it is stored."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Exchange:
        """The reverse of `as_json`."""
        headers = tuple((str(k), str(v)) for k, v in value["reply_headers"])
        return cls(**{**value, "reply_headers": headers})


@dataclass(slots=True)
class ServiceRecord:
    """The exchanges of one run, in the order in which they ended, and the run's clock."""

    clock: ProgramClock = field(default_factory=ProgramClock)
    exchanges: list[Exchange] = field(default_factory=list)
    refused_requests: int = 0
    """Beyond the limit on requests; not among the exchanges."""
    refused_connections: int = 0
    _kept: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def keep(self, body: bytes) -> str | None:
        """A body in base64, None where it is not kept."""
        if len(body) > RECORD_MAX_BODY_BYTES:
            return None
        with self._lock:
            if self._kept + len(body) > RECORD_MAX_BYTES:
                return None
            self._kept += len(body)
        return base64.b64encode(body).decode()


def request_digest(method: str, path: str, query: str, content_type: bytes, body: bytes) -> str:
    """Equal for equal requests, whatever an upload's random boundary and the order of JSON keys."""
    boundary = _BOUNDARY.search(content_type)
    if boundary is not None:
        body = body.replace(boundary[1], b"boundary")
    elif json_values(body) <= BODY_MAX_VALUES:  # more would take memory, and no service reads it
        with suppress(ValueError, RecursionError):  # no JSON: its bytes are what it is
            body = json.dumps(json.loads(body), sort_keys=True).encode()
    whole = b"\0".join((method.encode(), path.encode(), query.encode(), body))
    return hashlib.sha256(whole).hexdigest()


def kept_headers(raw: list[tuple[bytes, bytes]]) -> tuple[tuple[str, str], ...]:
    """The headers of a response that a replay repeats."""
    return tuple(
        (name.decode("latin-1"), value.decode("latin-1"))
        for name, value in raw
        if name.lower() not in _WIRE_HEADERS
    )
