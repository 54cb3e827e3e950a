"""A clock on which sleeps pass faster than real time; runs inside the sandbox.

With rate r, a sleep of a minute takes 60/r s, and afterwards the clocks have advanced by the whole
minute. Work takes real time, and so do deadlines of network, thread and process waits: those
libraries read the real clock. A program that bypasses this only waits longer.

Where the run has a model service, a sleep is waited for there: the service then knows the program's
time, and ends the sleep when its jobs have come as far as they should by then.
"""

from __future__ import annotations

import _socket
import _thread
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:  # every import costs time in every run
    from collections.abc import Callable
    from typing import Any

REAL_TIME_LIBRARIES = frozenset(
    (
        *("anyio", "asyncio", "concurrent", "http", "httpcore", "httpx", "multiprocessing"),
        *("queue", "selectors", "socket", "ssl", "subprocess", "threading", "urllib", "urllib3"),
    )
)
"""They measure deadlines for work; a sleep elsewhere in the program must not make them late."""

CLOCKS = ("time", "monotonic", "perf_counter")
SLEEP_PATH = "/program/sleep"
"""Where a sleep is waited for: POST with the seconds as query, answered with 204 at its end."""

_SHORTEST = 0.1  # seconds: shorter sleeps are added up, since each would cost a request
_ENDED = b"HTTP/1.1 204"


class Clock:
    """How far the program's clocks are ahead of the real ones, in nanoseconds.

    `service` is the port of the run's model service on the loopback, None without one.
    """

    def __init__(self, rate: float, service: int | None) -> None:
        self.rate = rate
        self.ahead_ns = 0
        self._service = service
        self._owed = 0.0
        self._lock = _thread.allocate_lock()
        self._real_ns = time.monotonic_ns

    def now_ns(self) -> int:
        return self._real_ns() + self.ahead_ns

    def wakes_ns(self, seconds: float) -> int:
        """When a sleep that begins now ends, on this clock."""
        return self.now_ns() + int(seconds * 1e9)

    def reach(self, wakes_ns: int) -> None:
        """Move forward to the end of a sleep; sleeps side by side move the clock once."""
        with self._lock:
            self.ahead_ns += max(0, wakes_ns - self.now_ns())

    def request(self, seconds: float) -> bytes:
        """What to send to the service for a sleep; nothing for one that is too short for that."""
        if self._service is None:
            return b""
        with self._lock:
            self._owed += seconds
            if self._owed < _SHORTEST:
                return b""
            seconds, self._owed = self._owed, 0.0
        line = f"POST {SLEEP_PATH}?{seconds!r} HTTP/1.1"
        return f"{line}\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n".encode()

    def connection(self) -> tuple[_socket.socket, tuple[str, int]]:
        """A socket for one request, and where to connect it."""
        assert self._service is not None
        line = _socket.socket(_socket.AF_INET, _socket.SOCK_STREAM)
        line.settimeout(None)  # whatever the program has set for its own
        return line, ("127.0.0.1", self._service)


def _slept(clock: Clock, request: bytes) -> bool:
    """Whether the service has waited for a sleep to end."""
    line, service = clock.connection()
    try:
        line.connect(service)
        line.sendall(request)
        return line.recv(len(_ENDED)) == _ENDED
    except OSError:
        return False
    finally:
        line.close()


async def _slept_beside(clock: Clock, request: bytes, loop: Any) -> bool:
    """The same, in a program that does something else meanwhile."""
    line, service = clock.connection()
    line.setblocking(False)
    try:
        await loop.sock_connect(line, service)
        await loop.sock_sendall(line, request)
        ended: bool = await loop.sock_recv(line, len(_ENDED)) == _ENDED
        return ended
    except OSError:
        return False
    finally:
        line.close()


def _hurried(value: object) -> bool:
    return isinstance(value, (int, float)) and 0 < value < 1e9


def _patch_time(clock: Clock) -> None:
    real_sleep = time.sleep

    def sleep(seconds: float, /) -> None:
        if not _hurried(seconds):
            real_sleep(seconds)  # its own errors, and nothing to shorten
            return
        wakes = clock.wakes_ns(seconds)
        request = clock.request(seconds)
        if not request or not _slept(clock, request):
            real_sleep(seconds / clock.rate)
        clock.reach(wakes)

    def seconds_of(real: Callable[[], float]) -> Callable[[], float]:
        def read() -> float:
            return real() if _keeps_real_time() else real() + clock.ahead_ns / 1e9

        return read

    def nanoseconds_of(real: Callable[[], int]) -> Callable[[], int]:
        def read() -> int:
            return real() if _keeps_real_time() else real() + clock.ahead_ns

        return read

    for name in CLOCKS:
        setattr(time, name, seconds_of(getattr(time, name)))
        setattr(time, f"{name}_ns", nanoseconds_of(getattr(time, f"{name}_ns")))
    time.sleep = sleep  # type: ignore[assignment]


def _keeps_real_time() -> bool:
    """Whether the caller is a library that measures a deadline."""
    name = sys._getframe(2).f_globals.get("__name__")
    return isinstance(name, str) and name.partition(".")[0] in REAL_TIME_LIBRARIES


def _patch_asyncio(tasks: Any, clock: Clock) -> None:
    real_sleep = tasks.sleep

    async def sleep(delay: float, result: Any = None) -> Any:
        if not _hurried(delay):
            return await real_sleep(delay, result)
        wakes = clock.wakes_ns(delay)
        request = clock.request(delay)
        loop = tasks.events.get_running_loop()
        if not request or not await _slept_beside(clock, request, loop):
            await real_sleep(delay / clock.rate)
        clock.reach(wakes)
        return result

    tasks.sleep = sleep


def _patch_datetime(module: Any, clock: Clock) -> None:
    real = module.datetime

    class RealType(type):
        """C code makes values of the real type; they count as this type."""

        def __instancecheck__(cls, value: object) -> bool:
            return isinstance(value, real)

        def __subclasscheck__(cls, kind: type) -> bool:
            return issubclass(kind, real)

    def ahead() -> Any:
        return module.timedelta(microseconds=clock.ahead_ns // 1000)

    class datetime(real, metaclass=RealType):  # type: ignore[misc, valid-type]
        def __repr__(self) -> str:
            own = super().__repr__()
            return f"datetime.{own}" if type(self) is datetime else own

        @classmethod
        def now(cls, tz: Any = None) -> Any:
            if tz is None:
                return super().now() + ahead()
            return (super().now(module.timezone.utc) + ahead()).astimezone(tz)

        @classmethod
        def utcnow(cls) -> Any:
            return super().now(module.timezone.utc).replace(tzinfo=None) + ahead()

        @classmethod
        def today(cls) -> Any:
            return super().now() + ahead()

    datetime.__module__, datetime.__qualname__ = "datetime", "datetime"
    module.datetime = datetime


class _AfterImport:
    """Patches modules right after they are first imported: importing them here costs too much."""

    def __init__(self, patches: dict[str, Callable[[Any], None]]) -> None:
        self._patches = patches

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        patch = self._patches.pop(name, None)
        if patch is None:
            return None
        for finder in sys.meta_path:
            spec = None if finder is self else finder.find_spec(name, path, target)
            if spec is not None and spec.loader is not None:
                self._patch_after(spec.loader, patch)
                return spec
        return None

    @staticmethod
    def _patch_after(loader: Any, patch: Callable[[Any], None]) -> None:
        execute = loader.exec_module

        def exec_module(module: Any) -> None:
            execute(module)
            patch(module)

        loader.exec_module = exec_module


def install(rate: float, service: int | None = None) -> None:
    """Let this process and its forks sleep `rate` times faster than real time.

    `service` is the port on the loopback where sleeps are waited for. What the program draws at
    random, such as the time before it tries again, is the same in every run unless it seeds.
    """
    clock = Clock(rate, service)
    _patch_time(clock)
    patches: dict[str, Callable[[Any], None]] = {
        "asyncio.tasks": lambda module: _patch_asyncio(module, clock),
        "datetime": lambda module: _patch_datetime(module, clock),
        "random": lambda module: module.seed(0),
    }
    for name in list(patches):
        if name in sys.modules:
            patches.pop(name)(sys.modules[name])
    sys.meta_path.insert(0, _AfterImport(patches))
