"""The keeper of a restricted run: starts it, and ends it even when the grader is gone.

Runs by itself, with the standard library alone, under the run's interpreter:
`python -s -P restricted_init.py CONTROL LINK LOCK`, three descriptors. It reads its orders from the
link and forks. The child gives up its rights irrevocably and becomes `start.py`. The parent, the
keeper, stays outside the walls; every process of the run descends from it, orphans included. It
waits until the child ends, or until a byte or the end of the link tells it to stop. Then it kills
what is left, waits until nothing is, and ends as the child did.
"""

from __future__ import annotations

import sys

_AS_FOUND = frozenset(sys.modules)

import contextlib  # noqa: E402 - after the modules were counted, see start.py
import ctypes  # noqa: E402
import marshal  # noqa: E402
import os  # noqa: E402
import select  # noqa: E402
import signal  # noqa: E402
import socket  # noqa: E402
import stat  # noqa: E402
import struct  # noqa: E402
import time  # noqa: E402

TYPE_CHECKING = False
if TYPE_CHECKING:  # `typing` alone takes 8 ms
    from typing import Any, NoReturn

PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_CHILD_SUBREAPER, PR_SET_NO_NEW_PRIVS = 1, 4, 36, 38
CLONE_NEWNS, MS_BIND_REC, MS_REC_SLAVE, MS_NOSUID_NODEV = 0x00020000, 0x5000, 0x84000, 0x6
SECCOMP_SET_MODE_FILTER, FILTER_FLAG_NEW_LISTENER = 1, 8
SECCOMP_CALL = {"x86_64": 317, "aarch64": 277, "riscv64": 277}
LISTENING, LISTENING_WITH_OWN_MEMORY, STOP = b"l", b"m", b"k"

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long


def _check(result: int, what: str) -> int:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{what}: {os.strerror(code)}")
    return result


def _prctl(option: int, value: int) -> None:
    arguments = [ctypes.c_ulong(one) for one in (value, 0, 0, 0)]
    _check(_libc.prctl(option, *arguments), f"prctl {option}")


def _receive(link: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        piece = link.recv(size - len(data))
        if not piece:
            os._exit(1)  # the grader is gone
        data += piece
    return data


# --- the child ---------------------------------------------------------------------------------


def _leave_mounts() -> None:
    """Give this process a mount namespace of its own."""
    nothing, slave = ctypes.c_void_p(None), ctypes.c_ulong(MS_REC_SLAVE)
    _check(_libc.unshare(CLONE_NEWNS), "making a mount namespace")
    _check(_libc.mount(b"none", b"/", nothing, slave, nothing), "leaving the machine's mounts")


def _own_shared_memory(size: int) -> bool:
    """Mount an empty /dev/shm over the machine's; False where this is not allowed."""
    try:
        _leave_mounts()
        flags, options = ctypes.c_ulong(MS_NOSUID_NODEV), b"mode=1777,size=%d" % size
        _check(_libc.mount(b"none", b"/dev/shm", b"tmpfs", flags, options), "mounting /dev/shm")
    except OSError:
        return False
    return True


def _uncover(closed: list[str], needed: list[str]) -> None:
    """Make folders below closed ones reachable, for this process only.

    Each closed folder is hidden by an empty one that everybody may enter, in a mount namespace of
    its own; what is needed is put back at its place.
    """
    nothing = ctypes.c_void_p(None)
    _leave_mounts()
    kept = [(path, os.open(path, os.O_PATH | os.O_CLOEXEC)) for path in needed]
    for path in closed:
        zero, size = ctypes.c_ulong(0), b"mode=0755,size=1M"
        _check(_libc.mount(b"none", path.encode(), b"tmpfs", zero, size), f"hiding {path}")
    for path, place in kept:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        if not os.path.exists(path):
            make = os.mkdir if stat.S_ISDIR(os.fstat(place).st_mode) else os.mknod
            make(path)
        source, bind = f"/proc/self/fd/{place}".encode(), ctypes.c_ulong(MS_BIND_REC)
        _check(_libc.mount(source, path.encode(), nothing, bind, nothing), f"showing {path}")
        os.close(place)


def _filter(program: bytes, flags: int) -> int:
    """Install a system-call filter; with the flag, return its notification descriptor."""
    instructions = ctypes.create_string_buffer(program, len(program))
    fields = struct.pack("=H6xQ", len(program) // 8, ctypes.addressof(instructions))
    number = SECCOMP_CALL[os.uname().machine]
    arguments = [ctypes.c_long(one) for one in (number, SECCOMP_SET_MODE_FILTER, flags)]
    return _check(_libc.syscall(*arguments, fields), "seccomp")


def _become_restricted(orders: dict[str, Any], link: socket.socket) -> None:
    _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    os.setsid()
    _prctl(PR_SET_CHILD_SUBREAPER, 1)  # what loses its parent in there is reaped there
    _prctl(PR_SET_DUMPABLE, 1)  # else its own files below /proc are root's
    with open("/proc/self/oom_score_adj", "w") as file:
        file.write("1000")  # out of reach later
    if orders["closed"]:
        _uncover(orders["closed"], orders["needed"])
    sys.path.append(os.path.dirname(os.path.abspath(__file__)))
    import landlock  # type: ignore[import-not-found]  # beside this file, not in a package

    sys.path.pop()
    own_memory = orders["uid"] is not None and _own_shared_memory(orders["memory_bytes"])
    granted = orders["granted"] + orders["own_memory" if own_memory else "shared_memory"]
    if orders["uid"] is not None:
        os.setgroups([])
        os.setresgid(orders["uid"], orders["uid"], orders["uid"])
        os.setresuid(orders["uid"], orders["uid"], orders["uid"])
    os.umask(0o022)
    _prctl(PR_SET_NO_NEW_PRIVS, 1)
    landlock.restrict(granted)
    _filter(orders["network"], 0)
    _filter(orders["system_calls"], 0)
    listener = _filter(orders["connects"], FILTER_FLAG_NEW_LISTENER)
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, struct.pack("=i", listener))]
    link.sendmsg([LISTENING_WITH_OWN_MEMORY if own_memory else LISTENING], rights)
    os.close(listener)


def _become_start(orders: dict[str, Any], control: int) -> None:
    for name in set(sys.modules) - _AS_FOUND:
        del sys.modules[name]
    sys.argv[:] = ["start.py", str(control)]
    # The byte code's header has 16 bytes, see PEP 552.
    exec(
        marshal.loads(orders["start"][16:]), {"__name__": "__main__", "__builtins__": __builtins__}
    )


# --- the keeper --------------------------------------------------------------------------------


def _user_processes(uid: int) -> list[int]:
    """Every living process that runs as this user."""
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/status") as file:
                    lines = dict(line.split(":", 1) for line in file if ":" in line)
            except OSError:
                continue
            if str(uid) in lines["Uid"].split() and lines["State"].split()[0] not in "ZX":
                found.append(int(name))
    return found


def _descendants(pid: int) -> list[int]:
    """Every living process that descends from this one."""
    found = [pid]
    for one in found:
        try:
            for thread in os.listdir(f"/proc/{one}/task"):
                with open(f"/proc/{one}/task/{thread}/children") as file:
                    found += map(int, file.read().split())
        except OSError:
            continue
    return found[1:]


def _kill_user(uid: int) -> None:
    """Kill all processes of a user atomically: forks cannot outrun it.

    Done by a child that is that user and may signal nobody else; it looks twice, because the same
    call by root would end the machine.
    """
    child = os.fork()
    if child == 0:
        try:
            os.setgroups([])
            os.setresgid(uid, uid, uid)
            os.setresuid(uid, uid, uid)
            with open("/proc/thread-self/status") as file:
                powers = [line.split()[1] for line in file if line.startswith("CapEff:")]
            if os.getresuid() == (uid, uid, uid) and uid > 0 and not int(powers[0], 16):
                os.kill(-1, signal.SIGKILL)
        finally:
            os._exit(0)
    os.waitpid(child, 0)


class Supervisor:
    """The parent: knows the run's processes, and ends them."""

    def __init__(self, child: int, uid: int | None) -> None:
        self.child = child
        self.uid = uid
        self.status: int | None = None

    def reap(self) -> None:
        """Reap ended processes, and record how the child ended."""
        try:
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if pid == 0:
                    return
                if pid == self.child:
                    self.status = status
        except ChildProcessError:
            return

    def end_all(self) -> None:
        """Kill what is left of the run, again and again until nothing is."""
        while True:
            self.reap()
            left = _descendants(os.getpid())
            others = _user_processes(self.uid) if self.uid is not None else []
            if not left and not others:
                return
            if self.uid is not None:
                _kill_user(self.uid)
            for pid in left:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.001)

    def wait(self, link: socket.socket) -> bool:
        """Wait until the child ends or the run must stop; False when the grader is gone."""
        events = select.poll()
        events.register(link, select.POLLIN)
        events.register(os.pidfd_open(self.child), select.POLLIN)
        while not (ready := [fd for fd, _ in events.poll(1000)]):
            self.reap()
        return link.fileno() not in ready or bool(link.recv(1))

    def end_as_the_child(self) -> NoReturn:
        """End with the child's exit code or signal."""
        if self.status is None or os.WIFSIGNALED(self.status):
            number = signal.SIGKILL if self.status is None else os.WTERMSIG(self.status)
            if number not in (signal.SIGKILL, signal.SIGSTOP):
                signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
            os._exit(1)
        os._exit(os.waitstatus_to_exitcode(self.status))


def _keep(keeper: Supervisor, link: socket.socket, folder: str) -> NoReturn:
    nothing = os.open("/dev/null", os.O_RDWR)
    for fd in range(3):  # else the pipes do not end with the program
        os.dup2(nothing, fd)
    grader_lives = keeper.wait(link)
    keeper.end_all()
    if not grader_lives:
        import shutil

        with contextlib.suppress(RecursionError):  # then the next run at this place removes it
            shutil.rmtree(folder, ignore_errors=True)
    keeper.end_as_the_child()


def _main(control: int, link: socket.socket, lock: int) -> None:
    orders: dict[str, Any] = marshal.loads(_receive(link, int.from_bytes(_receive(link, 8), "big")))
    _prctl(PR_SET_DUMPABLE, 0)
    _prctl(PR_SET_CHILD_SUBREAPER, 1)
    Supervisor(0, orders["uid"]).end_all()  # of a run whose grader and keeper were both killed
    child = os.fork()
    if child:
        os.close(control)
        _keep(Supervisor(child, orders["uid"]), link, orders["folder"])
    os.close(lock)
    _become_restricted(orders, link)
    link.close()
    _become_start(orders, control)


if __name__ == "__main__":
    _main(int(sys.argv[1]), socket.socket(fileno=int(sys.argv[2])), int(sys.argv[3]))
