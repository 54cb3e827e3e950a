"""Process 1 of a sandbox: prepares it, then becomes the student's program.

Runs under the sandbox's interpreter, with nothing of this package beside it. It reads its orders
from a socket, fills the working folder, opens the service's port, passes both to the grader, waits
for the signal to start, and forks: the child runs the script as `python script.py` would; the
parent reaps processes and reports how the child ended. No byte of a submission is read as code
before the fork. Everything reported after the start may come from the program: it has the same
rights as this parent.

Imports are few, and forgotten before the script runs: each costs milliseconds in every run, and a
student's module may have the same name.
"""

from __future__ import annotations

import sys

_AS_FOUND = frozenset(sys.modules) - {"__future__"}

import _signal  # type: ignore[import-not-found]  # noqa: E402
import _socket  # noqa: E402 - after the modules were counted; half the time of `socket`
import errno  # noqa: E402
import marshal  # noqa: E402
import os  # noqa: E402
import resource  # noqa: E402

TYPE_CHECKING = False
if TYPE_CHECKING:  # `typing` alone takes 8 ms
    from typing import Any, NoReturn

_SET_DUMPABLE = 4  # prctl's number of it
READY, FAILED, GO = b"r", b"x", b"g"
FDS_AT_ONCE = 64
"""File descriptors in one message: far below what one process may hold."""

STAGED_TIME = 946_684_800
"""When all files of the submission were last changed: long ago, so that any change shows."""


def _control(where: str) -> _socket.socket:
    """The grader's socket: a descriptor's number, or a path where none can be handed over."""
    if where.isdigit():
        return _socket.socket(fileno=int(where))
    control = _socket.socket(_socket.AF_UNIX)
    control.connect(where)
    return control


def _receive(control: _socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        piece = control.recv(size - len(data))
        if not piece:
            os._exit(1)  # the grader is gone
        data += piece
    return data


def _receive_fds(control: _socket.socket, count: int) -> list[int]:
    _, ancillary, _, _ = control.recvmsg(1, _socket.CMSG_SPACE(4 * count))
    raw = b"".join(data for _, kind, data in ancillary if kind == _socket.SCM_RIGHTS)
    fds = [int.from_bytes(raw[at : at + 4], sys.byteorder) for at in range(0, len(raw), 4)]
    if len(fds) != count:
        raise OSError(errno.EBADF, f"{count} files were announced, {len(fds)} came")
    return fds


def _send(control: _socket.socket, word: bytes, fds: list[int]) -> None:
    raw = b"".join(fd.to_bytes(4, sys.byteorder) for fd in fds)
    control.sendmsg([word], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, raw)] if fds else [])


def _copy(source: int, target: str, mode: int) -> None:
    out = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, mode)
    try:
        while os.sendfile(out, source, None, 1 << 30):
            pass
        os.utime(out, (STAGED_TIME, STAGED_TIME))
    finally:
        os.close(out)


def _fill(control: _socket.socket, spec: dict[str, Any]) -> None:
    """Copy the submission's files and the grader's inputs into the working folder."""
    for folder in spec["folders"]:
        os.makedirs(folder, exist_ok=True)
    files: list[tuple[str, int]] = spec["files"]
    for first in range(0, len(files), FDS_AT_ONCE):
        batch = files[first : first + FDS_AT_ONCE]
        for (path, mode), fd in zip(batch, _receive_fds(control, len(batch)), strict=True):
            _copy(fd, path, mode)
            os.close(fd)
    for path, target in spec["links"]:
        os.symlink(target, path)


def _listen(port: int) -> _socket.socket:
    listener = _socket.socket(_socket.AF_INET, _socket.SOCK_STREAM)
    listener.setsockopt(_socket.SOL_SOCKET, _socket.SO_REUSEADDR, 1)
    listener.setsockopt(_socket.IPPROTO_TCP, _socket.TCP_NODELAY, 1)  # else 40 ms an answer
    listener.bind(("127.0.0.1", port))
    listener.listen(128)
    return listener


def _make_ready(control: _socket.socket) -> dict[str, Any]:
    spec: dict[str, Any] = marshal.loads(
        _receive(control, int.from_bytes(_receive(control, 8), "big"))
    )
    os.chdir(spec["box"])
    _fill(control, spec)
    fds = [os.open(folder, os.O_RDONLY | os.O_DIRECTORY) for folder in spec["scratch"]]
    listener = _listen(spec["port"]) if spec["port"] else None
    _send(control, READY, [*fds, listener.fileno()] if listener else fds)
    for fd in fds:
        os.close(fd)
    if listener:
        listener.close()
    if _receive(control, 1) != GO:
        os._exit(1)
    return spec


def _out_of_reach(yes: bool) -> None:
    """Deny or allow this user's other processes access to this one's memory and files."""
    import _ctypes  # half a millisecond; all of ctypes takes five

    prctl = _ctypes.dlsym(_ctypes.dlopen(None, 0), "prctl")  # type: ignore[arg-type]
    if _ctypes.call_cdeclfunction(prctl, (_SET_DUMPABLE, 0 if yes else 1, 0, 0, 0)):
        raise OSError(errno.EPERM, "the start program cannot be closed to others")
    _signal.signal(_signal.SIGINT, _signal.SIG_IGN if yes else _signal.default_int_handler)


def _confine(spec: dict[str, Any]) -> None:
    """Set the child's limits; they cannot be raised again."""
    _out_of_reach(False)
    os.setpgid(0, 0)  # a program that signals its group reaches itself
    try:
        with open("/proc/self/oom_score_adj", "w") as file:
            file.write("1000")  # the first to go when the machine has no memory
    except PermissionError:
        pass  # out of reach where a launcher has done it
    for number, value in spec["rlimits"]:
        resource.setrlimit(number, (value, value))


def _end_with_the_grader(control: _socket.socket) -> None:
    """End this process when the other end of the socket closes.

    Where the grader started this process by way of a daemon, nothing else ends it.
    """
    import fcntl

    def look(*_: object) -> None:
        try:
            if not control.recv(1, _socket.MSG_PEEK | _socket.MSG_DONTWAIT):
                os._exit(1)
        except BlockingIOError:
            pass

    _signal.signal(_signal.SIGIO, look)
    fcntl.fcntl(control, fcntl.F_SETOWN, os.getpid())
    flags: int = fcntl.fcntl(control, fcntl.F_GETFL)
    fcntl.fcntl(control, fcntl.F_SETFL, flags | os.O_ASYNC)
    look()


def _watch(control: _socket.socket, child: int) -> NoReturn:
    """Reap until the script's process ends, report how, and exit: with process 1, all ends."""
    if not sys.argv[1].isdigit():
        _end_with_the_grader(control)
    while True:
        pid, status = os.wait()
        if pid == child:
            control.send(b"%d\n" % status)
            os._exit(0)


def _no_such_script(script: str) -> NoReturn:
    """Fail with Python's own message for a missing script."""
    reason = f"[Errno {errno.ENOENT}] {os.strerror(errno.ENOENT)}"
    sys.stderr.write(f"python: can't open file {os.path.abspath(script)!r}: {reason}\n")
    sys.exit(2)


def _run(spec: dict[str, Any]) -> None:
    """Run the script as `python script.py` or `python folder` does."""
    script: str = spec["script"]
    folder, path = os.path.dirname(os.path.abspath(script)), os.path.abspath(script)
    if os.path.isdir(path):
        folder, path = path, os.path.join(path, "__main__.py")
    if not os.path.isfile(path):
        _no_such_script(script)
    sys.argv[:] = [script, *spec["arguments"]]
    if spec["clock_rate"] != 1.0:
        code = compile(spec["clock"], "<clock>", "exec")
        clock: dict[str, Any] = {"__name__": "_clock"}
        exec(code, clock)
        clock["install"](spec["clock_rate"], spec["service"])
    for name in set(sys.modules) - _AS_FOUND:
        del sys.modules[name]
    sys.path.insert(0, folder)
    main = type(sys)("__main__")
    main.__dict__.update(
        __file__=path, __builtins__=__builtins__, __annotations__={}, __cached__=None
    )
    sys.modules["__main__"] = main
    try:
        with open(path, "rb") as file:
            source = file.read()
        exec(compile(source, path, "exec", dont_inherit=True), main.__dict__)
    except (SystemExit, KeyboardInterrupt):
        raise
    except BaseException as error:
        trace = error.__traceback__.tb_next if error.__traceback__ else None  # without this frame
        sys.excepthook(type(error), error.with_traceback(trace), trace)
        sys.exit(1)


def _start() -> dict[str, Any]:
    """Prepare everything up to the script; returns in the child only."""
    control = _control(sys.argv[1])
    try:
        spec = _make_ready(control)
        _out_of_reach(True)  # before the fork: the program finds the door closed
        child = os.fork()
    except OSError as error:
        control.sendmsg([FAILED + str(error).encode("utf-8", "backslashreplace")[:1000]])
        os._exit(1)
    if child:
        _watch(control, child)
    control.close()
    os.closerange(3, 1024)  # whatever a launcher left open
    _confine(spec)
    return spec


if __name__ == "__main__":
    _run(_start())
