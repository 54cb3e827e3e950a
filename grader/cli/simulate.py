"""`finegrade simulate`: a local fine-tuning service for any OpenAI client."""

from __future__ import annotations

import os
import shlex
import subprocess
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from grader.cli.listening import is_loopback, listening, url_of
from grader.cli.local_key import key_of, others_use_this_machine
from grader.core.errors import UsageError
from grader.core.files import home as cache
from grader.core.openai_wire import ANY_KEY, KEY_VARIABLE, URL_VARIABLE

if TYPE_CHECKING:
    import socket

    from grader.core.nouns import BaseModel
    from grader.openai_sim.store.journal import Journal

_PORT: Final = 8400
_START_SECONDS: Final = 30.0  # until the service listens, once the model is loaded

SIMULATE_EXAMPLES: Final = (
    "Example: finegrade simulate -- python openai_finetune.py\n\n"
    "With injected faults: finegrade simulate --scenario flaky -- python openai_finetune.py"
)

Command = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="COMMAND",
        help="Command to run against the service, after `--`; the service stops with it.",
        show_default="serve until Ctrl-C",
    ),
]


def simulate(
    context: typer.Context,
    command: Command = None,
    port: Annotated[
        int, typer.Option(min=0, max=65535, metavar="N", help="Port; 0 chooses a free one.")
    ] = _PORT,
    host: Annotated[
        str,
        typer.Option(
            metavar="ADDRESS",
            help="Address to listen on. On any but loopback, clients must send the key.",
        ),
    ] = "127.0.0.1",
    scenario: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Fault to inject, such as flaky. Repeat the option to combine several.",
            show_default="ok: no faults",
        ),
    ] = None,
    list_: Annotated[bool, typer.Option("--list", help="List the scenarios and exit.")] = False,
    home: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Folder for files, jobs and models; they survive a restart.",
            show_default="simulate in finegrade's cache",
        ),
    ] = None,
    key: Annotated[
        str | None,
        typer.Option(
            envvar="FINEGRADE_SIMULATE_KEY",
            metavar="KEY",
            help="API key that clients must send.",
            show_default="any on loopback of a machine of yours alone, else random",
        ),
    ] = None,
    base: Annotated[
        str | None,
        typer.Option(
            metavar="NAME@REVISION",
            help="Base model from the local Hugging Face cache.",
            show_default="the course model",
        ),
    ] = None,
    seed: Annotated[
        int, typer.Option(metavar="N", help="Seed that chooses the requests that scenarios hit.")
    ] = 0,
    time_scale: Annotated[
        float,
        typer.Option(
            min=0, metavar="X", help="Factor on the scenarios' waiting times; 0: no waiting."
        ),
    ] = 1.0,
) -> None:
    """Run a local fine-tuning service with OpenAI's API.

    Its jobs train real LoRA adapters of the course model, and any OpenAI client can use it.
    Without COMMAND it prints the environment variables that clients need and serves until Ctrl-C.
    With COMMAND it runs COMMAND in that environment and prints a summary of its requests.
    """
    if list_:
        _needs()
        _list_scenarios()
        return
    from grader.openai_sim.jobs.fork_server import FORK_SERVER

    chosen = _base(base)
    folder = _folder(chosen)
    umask = os.umask(0o077)  # nothing in the home is for others
    FORK_SERVER.acquire(folder)  # the first job needs it seconds from now: it loads while we do
    context.call_on_close(FORK_SERVER.release)
    needed = _needs()
    from grader.openai_sim.api.app import create_app
    from grader.openai_sim.api.http_protocol import SingleWriteProtocol
    from grader.openai_sim.decoding.serving import NamedServer, open_bases
    from grader.openai_sim.jobs.runner import JobRunner
    from grader.openai_sim.store.clock import MachineClock
    from grader.openai_sim.store.journal import Journal
    from grader.openai_sim.store.scenarios import FaultInjector
    from grader.openai_sim.store.store import SimulatorStore

    FaultInjector(scenario or (), seed)  # refuses a wrong name before the model loads
    clock = MachineClock(time_scale)
    if home is None:
        home = cache() / "simulate"
        if home.exists():
            home.chmod(0o700)  # earlier versions let everybody read
    with listening(host, port) as listener:
        store = SimulatorStore.open(home)
        if key is None and (not is_loopback(host) or others_use_this_machine()):
            key = key_of(store.home)
        runner = JobRunner(store, folder)
        runner.claim()  # before the model is loaded
        server = NamedServer(open_bases(chosen), store)
        if chosen is None:  # a large model's products release the interpreter's lock long enough
            server.decode_apart()
        journal = Journal(store.home)
        app = create_app(
            store.home,
            runner=runner,
            server=server,
            scenarios=scenario or (),
            key=key,
            seed=seed,
            clock=clock,
            journal=journal,
        )
        environment = {
            URL_VARIABLE: f"{url_of(listener)}/v1",
            KEY_VARIABLE: key or ANY_KEY,
        }
        service = needed.Server(
            needed.Config(
                app, http=SingleWriteProtocol, log_level="warning", timeout_graceful_shutdown=1
            )
        )
        try:
            if command:
                raise typer.Exit(_run(command, environment, service, listener, journal, umask))
            for name, value in environment.items():
                typer.echo(f"export {name}={shlex.quote(value)}")
            needs = "" if key is None else "Its password is the key; any user name will do. "
            typer.echo(
                f"Open {url_of(listener)}/ in a browser. {needs}Ctrl-C stops the service.", err=True
            )
            service.run(sockets=[listener])
        finally:
            server.close()


def _run(
    command: list[str],
    environment: dict[str, str],
    service: Any,
    listener: socket.socket,
    journal: Journal,
    umask: int,
) -> int:
    """Run the command against the service and print a summary of its requests.

    Returns the command's exit code.
    """
    from grader.openai_sim.store.journal import summary, summary_text

    since = journal.size()
    thread = threading.Thread(target=service.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    end = time.monotonic() + _START_SECONDS
    while not service.started and thread.is_alive() and time.monotonic() < end:
        time.sleep(0.02)
    if not service.started:
        raise UsageError("The service did not start; the lines above say why.")
    try:
        done = subprocess.run(command, env={**os.environ, **environment}, umask=umask, check=False)
    except OSError as error:
        raise UsageError(f"{command[0]} cannot be run: {error.strerror or error}.") from error
    finally:
        service.should_exit = True
        thread.join()
    code = done.returncode
    typer.echo(summary_text(summary(journal.lines(since))), err=True)
    return code if code >= 0 else 128 - code  # ended by a signal: the code that shells use


def _list_scenarios() -> None:
    from grader.openai_sim.store.scenarios import SCENARIOS

    for scenario in SCENARIOS.values():
        typer.echo(f"{scenario.name:<22}{scenario.summary}")


def _needs() -> Any:
    """The web server. Raises UsageError when it is not installed."""
    try:
        import fastapi  # noqa: F401
        import httptools  # noqa: F401
        import openai  # noqa: F401
        import python_multipart  # noqa: F401
        import uvicorn
    except ImportError as error:
        raise UsageError(
            f"The service needs more than the base install ({error.name} is missing). "
            "Install it: pip install 'finegrade[simulate]'"
        ) from error
    return uvicorn


def _base(named: str | None) -> BaseModel | None:
    """The base model of --base, None for the course model.

    Raises UsageError for a name without a revision.
    """
    from grader.core.nouns import BaseModel

    if named is None:
        return None
    name, _, revision = named.partition("@")
    if not name or not revision:
        raise UsageError(f"--base {named}: expected NAME@REVISION, as in gpt2@607a30d783df.")
    return BaseModel(name, revision)


def _folder(base: BaseModel | None) -> Path:
    """The folder of the base model that jobs train."""
    from grader.core.constants import COURSE_MODEL
    from grader.core.files import resource
    from grader.models.base_model import base_folder

    return resource("starter", COURSE_MODEL) if base is None else base_folder(base)
