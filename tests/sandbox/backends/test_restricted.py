"""The restricted backend where namespaces are blocked, and what it alone has to keep apart."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from support.paths import PROGRAMS
from support.sandbox_runs import MirrorService, run, said
from support.sandboxes import need_backend

from grader.sandbox.api import ExitReason, Isolation, Sandbox


@pytest.fixture
def restricted() -> Sandbox:
    return need_backend("restricted")


ON_A_BLOCKED_MACHINE = """
from support.sandbox_runs import MirrorService, run, said
from grader.core.errors import UsageError
from grader.sandbox.backends.bubblewrap import Bubblewrap
from grader.sandbox.choose import choose_sandbox
assert Bubblewrap().why_not() is not None
try:
    choose_sandbox("restricted")
except UsageError as error:
    print("refused", "restricted" in str(error))
chosen = choose_sandbox("restricted", reduced=True)
ask = "import urllib.request as u; print(u.urlopen('http://127.0.0.1:8000/', b'abc').read())"
print(chosen.name, said(run(chosen, ask, serve=MirrorService)), end="")
"""


def test_it_works_where_user_namespaces_are_blocked(restricted: Sandbox):
    blocked = PROGRAMS / "blocked_machine.py"
    found = subprocess.run(
        [sys.executable, str(blocked), sys.executable, "-c", ON_A_BLOCKED_MACHINE],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
    )
    assert found.stdout == "refused True\nrestricted b'cba'\n", found.stderr


def test_it_says_that_it_isolates_less(restricted: Sandbox):
    assert run(restricted, "pass").isolation is Isolation.REDUCED


CONNECTS = """
import errno, socket, sys
def attempt(family, kind, address, protocol=0):
    try:
        with socket.socket(family, kind, protocol) as one:
            one.connect(address)
            return "reached"
    except OSError as error:
        return errno.errorcode[error.errno]
INET, UNIX, TCP, UDP = socket.AF_INET, socket.AF_UNIX, socket.SOCK_STREAM, socket.SOCK_DGRAM
port, path = int(sys.argv[1]), sys.argv[2]
print(attempt(INET, TCP, ("127.0.0.1", port)))
print(attempt(INET, TCP, ("127.0.0.2", 8000)))
print(attempt(INET, TCP, ("127.0.0.1", port), 262))
print(attempt(INET, UDP, ("127.0.0.1", port)))
print(attempt(UNIX, TCP, path))
print(attempt(UNIX, UDP, path))
left, right = socket.socketpair()
print(attempt(INET, TCP, ("127.0.0.1", 8000)))
"""


def test_nothing_but_its_own_service_can_be_connected_to(restricted: Sandbox, tmp_path: Path):
    path = f"/tmp/finegrade-test-{os.getpid()}"
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket(socket.AF_UNIX) as door:
        server.setblocking(False)
        door.bind(path)
        try:
            os.chmod(path, 0o777)
            door.listen()
            port = str(server.getsockname()[1])
            ended = run(restricted, CONNECTS, port, path, serve=MirrorService)
        finally:
            os.unlink(path)
        with pytest.raises(BlockingIOError):
            server.accept()
    refused = ["ECONNREFUSED", "ENETUNREACH", "EAFNOSUPPORT", "EAFNOSUPPORT", "ENETUNREACH"]
    assert said(ended).splitlines() == [*refused, "EAFNOSUPPORT", "reached"]


ASKS_IN_ITS_WAY = """
import asyncio, os
async def ask():
    reader, writer = await asyncio.open_connection("127.0.0.1", 8000)
    writer.write(b"POST / HTTP/1.0\\r\\nContent-Length: 3\\r\\n\\r\\nabc")
    print((await reader.read()).endswith(b"cba"))
asyncio.run(ask())
if os.fork() == 0:
    asyncio.run(ask())
    os._exit(0)
os.wait()
"""


def test_the_service_answers_loops_and_children(restricted: Sandbox):
    assert said(run(restricted, ASKS_IN_ITS_WAY, serve=MirrorService)) == "True\nTrue\n"


def test_a_deleted_file_that_is_still_open_counts(restricted: Sandbox):
    program = """
        import os, time
        kept = open("x", "wb")
        os.unlink("x")
        for _ in range(24):
            kept.write(b"x" * 2**20)
            kept.flush()
        time.sleep(600)
        """
    assert run(restricted, program, file_bytes=64 * 2**20).verdict is ExitReason.DISK


def test_a_tree_deeper_than_any_path_is_removed(restricted: Sandbox):
    program = """
        import os
        for _ in range(60):
            os.mkdir("d" * 100)
            os.chdir("d" * 100)
        os.chmod(".", 0)
        """
    assert said(run(restricted, program)) == ""
    assert said(run(restricted, "import os; print(os.listdir())")) == "['main.py']\n"
