"""The filter as the kernel applies it: what it denies, and what honest programs still do."""

from __future__ import annotations

from support.sandbox_runs import run, said
from support.sandboxes import need_backend

from grader.sandbox.seccomp_filter import seccomp_filter, why_not

TRY = """
import ctypes, errno, os, socket, stat

libc = ctypes.CDLL(None, use_errno=True)


def call(name, *arguments):
    if getattr(libc, name)(*arguments) < 0:
        raise OSError(ctypes.get_errno(), name)


def show(what, function, *arguments):
    try:
        function(*arguments)
        print(what, "works")
    except OSError as error:
        print(what, errno.errorcode[error.errno])


open("f", "w").close()
"""


def test_what_is_denied():
    ended = run(
        need_backend("bubblewrap"),
        TRY
        + """
show("memfd", os.memfd_create, "x")
show("vsock", socket.socket, 40, socket.SOCK_STREAM)
show("netlink", socket.socket, socket.AF_NETLINK, socket.SOCK_RAW)
show("alg", socket.socket, 38, socket.SOCK_SEQPACKET)
show("setuid", os.chmod, "f", 0o4755)
show("setgid", os.chmod, "f", 0o2755)
show("device", os.mknod, "d", stat.S_IFCHR | 0o600, os.makedev(1, 3))
show("unshare", call, "unshare", 0x10000000)
show("ptrace", call, "ptrace", 0, 0, 0, 0)
show("shared", call, "shmget", 0, 4096, 0o1600)
show("mount", call, "mount", b"x", b"/box", b"tmpfs", 0, None)
""",
    )
    refused = dict(line.split() for line in said(ended).splitlines())
    families = {name: refused.pop(name) for name in ("vsock", "netlink", "alg")}
    assert set(families.values()) == {"EAFNOSUPPORT"}
    assert set(refused.values()) == {"EPERM"}


def test_what_honest_programs_do():
    ended = run(
        need_backend("bubblewrap"),
        TRY
        + """
import subprocess, threading
for family in (socket.AF_UNIX, socket.AF_INET, socket.AF_INET6):
    show("socket", socket.socket, family)
show("mode", os.chmod, "f", 0o755)
show("pipe", os.mkfifo, "p")
show("program", subprocess.run, ["true"])
threading.Thread(target=print, args=("thread", "works")).start()
""",
    )
    assert {line.split()[1] for line in said(ended).splitlines()} == {"works"}
    assert len(said(ended).splitlines()) == 7


def test_it_is_the_same_every_time():
    assert why_not() is None
    first = seccomp_filter()
    seccomp_filter.cache_clear()
    assert seccomp_filter() == first
    assert len(first) % 8 == 0  # struct sock_filter
