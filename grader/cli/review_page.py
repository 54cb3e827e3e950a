"""`finegrade review --serve`: the review page, and who is invited to it."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import typer

from grader.cli.listening import is_loopback, listening, url_of
from grader.core.errors import UsageError
from grader.web.access import Role

PORT: Final = 8500


def serve(out: Path, grader: str, host: str, port: int, second_share: float) -> None:
    """Serve the page until Ctrl-C, then score the class with what was decided."""
    server = _needs()
    from grader.course.output import STORE_NAME, assignment_of
    from grader.course.rescore import rescore
    from grader.evidence.store import open_store
    from grader.web.access import Viewer, open_access
    from grader.web.app import create_app
    from grader.web.desk import Desk

    assignment_of(out)  # refuses a folder that is no OUT before anything is made in it
    loopback = is_loopback(host)
    with (
        listening(host, port) as listener,
        open_store(out / STORE_NAME) as store,
        open_access(out) as access,
    ):
        desk = Desk(out, store, second_share)
        app = create_app(desk, access, loopback=loopback)
        if loopback:
            token = access.once(Viewer(grader, Role.INSTRUCTOR))
            typer.echo(f"{url_of(listener)}/enter#{token}")
            typer.echo("Open this link in a browser; it works once.", err=True)
        else:
            typer.echo(f"{_address(listener)}/enter")
            typer.echo(
                "Graders come in by their own links (--invite NAME). Nothing here is encrypted: "
                "outside a network that you trust, put a proxy with TLS in front.",
                err=True,
            )
        typer.echo("Ctrl-C stops the server.", err=True)
        settings = server.Config(app, log_level="warning", timeout_graceful_shutdown=1)
        with suppress(KeyboardInterrupt):
            server.Server(settings).run(sockets=[listener])
        decided = desk.decided
    if decided:
        after = rescore(out).after
        pending = sum(result.total.points is None for result in after)
        typer.echo(f"{pending} of {len(after)} students are pending.", err=True)


def invite(out: Path, name: str, role: Role, sections: Sequence[str], host: str, port: int) -> None:
    """Print a link that lets a grader in until it is revoked."""
    from grader.course.output import assignment_of
    from grader.web.access import open_access

    assignment_of(out)
    with open_access(out) as access:
        token = access.invite(name, role, sections)
    shown = socket.getfqdn() if host in ("0.0.0.0", "::") else host
    shown = f"[{shown}]" if ":" in shown else shown
    typer.echo(f"http://{shown}:{port}/enter#{token}")
    which = ", ".join(sections) or "all"
    typer.echo(
        f"This link is for {name} ({role}, sections: {which}) and works until it is revoked. It is "
        "shown only now.",
        err=True,
    )


def revoke(out: Path, name: str) -> None:
    """End a grader's link and sessions. Raises UsageError where there is no such grader."""
    from grader.course.output import assignment_of
    from grader.web.access import open_access

    assignment_of(out)
    with open_access(out) as access:
        known = access.revoke(name)
    if not known:
        raise UsageError(f"Nobody of the name {name} is invited.")
    typer.echo(f"{name} can no longer come in.", err=True)


def _address(listener: socket.socket) -> str:
    """The address that others use; of a wildcard this machine's name."""
    host, port = listener.getsockname()[:2]
    return f"http://{socket.getfqdn()}:{port}" if host in ("0.0.0.0", "::") else url_of(listener)


def _needs() -> Any:
    """The web server. Raises UsageError when it is not installed."""
    try:
        import fastapi  # noqa: F401
        import uvicorn
    except ImportError as error:
        raise UsageError(
            f"The page needs more than the base install ({error.name} is missing). "
            "Install it: pip install 'finegrade[web]'"
        ) from error
    return uvicorn
