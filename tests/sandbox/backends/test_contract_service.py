"""What every sandbox lets a program reach: the service that it was given, and no network."""

from __future__ import annotations

import socket

import pytest
from support.sandbox_runs import MirrorService, run, said

from grader.sandbox.api import ExitReason, Sandbox

# --- network and service -----------------------------------------------------------------------

ASK = """
import urllib.request
request = urllib.request.Request("http://127.0.0.1:8000/v1/x", data=b"abc")
print(urllib.request.urlopen(request, timeout=30).read().decode())
"""


def test_a_service_is_found_at_its_port(sandbox: Sandbox):
    ended = run(
        sandbox, ASK + "import os; print(os.environ['OPENAI_BASE_URL'])", serve=MirrorService
    )
    assert said(ended) == "cba\nhttp://127.0.0.1:8000/v1\n"


def test_without_a_service_the_port_is_closed(sandbox: Sandbox):
    ended = run(sandbox, ASK)
    assert ended.verdict == ExitReason.EXIT
    assert "refused" in ended.stderr.decode()


def test_the_program_cannot_take_the_services_port(sandbox: Sandbox):
    ended = run(
        sandbox,
        """
        import socket
        for option in (socket.SO_REUSEADDR, socket.SO_REUSEPORT):
            one = socket.socket()
            one.setsockopt(socket.SOL_SOCKET, option, 1)
            try:
                one.bind(("127.0.0.1", 8000)); one.listen(); print("taken")
            except OSError:
                print("refused")
        """,
        serve=MirrorService,
    )
    assert said(ended) == "refused\nrefused\n"


def test_a_service_that_fails_to_start_is_the_graders_fault(sandbox: Sandbox):
    def serve(listener: socket.socket) -> MirrorService:
        listener.close()
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run(sandbox, "pass", serve=serve)


def test_no_network(sandbox: Sandbox):
    with socket.create_server(("127.0.0.1", 0)) as server:
        ended = run(
            sandbox,
            """
            import socket, sys
            for family, address in (
                (socket.AF_INET, ("127.0.0.1", int(sys.argv[1]))),
                (socket.AF_INET, ("1.1.1.1", 53)),
                (socket.AF_INET6, ("2606:4700:4700::1111", 53)),
            ):
                try:
                    one = socket.socket(family)
                    one.settimeout(5)
                    one.connect(address)
                    print("reached")
                except OSError:
                    print("refused")
            try:
                print(socket.getaddrinfo("example.org", 80))
            except OSError:
                print("refused")
            """,
            str(server.getsockname()[1]),
        )
    assert said(ended) == "refused\n" * 4
