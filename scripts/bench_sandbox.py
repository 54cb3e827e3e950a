"""What the sandbox costs: a launch beside the bare interpreter, a request beside a plain server.

Usage: scripts/bench_sandbox.py [--runs N]. Both sides of a comparison take turns, so that they
meet the same machine. Times are wall time in milliseconds: minimum, median, 90th percentile.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import uvicorn
from starlette.responses import JSONResponse

from grader.core.constants import MIB
from grader.core.files import files_below
from grader.model_service.gateway import Gateway
from grader.model_service.metering import GatewayLimits
from grader.model_service.record import ServiceRecord
from grader.sandbox.api import ExitReason, RunSpec, Sandbox
from grader.sandbox.choose import choose_sandbox

REQUESTS = 300
MANY = 200
IMPORTS = ("openai", "dspy", "numpy", "torch")
ASKING = """
import http.client, json, sys, time
connection = http.client.HTTPConnection("127.0.0.1", int(sys.argv[1]))
took = []
for _ in range(int(sys.argv[2])):
    began = time.perf_counter()
    connection.request("POST", "/v1/x", b'{"messages": []}')
    connection.getresponse().read()
    took.append(time.perf_counter() - began)
print(json.dumps(took))
"""


async def hello(scope: Any, receive: Any, send: Any) -> None:
    """The smallest service there is."""
    while (await receive()).get("more_body", False):
        pass
    await JSONResponse({"hello": "world"})(scope, receive, send)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=30)
    runs = parser.parse_args().runs
    sandbox = choose_sandbox()
    print(f"Backend: {sandbox.name}, isolation {sandbox.isolation}. {runs} launches each.\n")
    with Gateway() as gateway, tempfile.TemporaryDirectory() as work:
        folder = Path(work)
        launches(sandbox, gateway, folder, runs)
        requests(sandbox, gateway, folder)
        imports(sandbox, gateway, folder)
        many(sandbox, gateway, folder)


def launches(sandbox: Sandbox, gateway: Gateway, folder: Path, runs: int) -> None:
    """An empty script, bare and in the sandbox with its model service."""
    (folder / "main.py").write_text("pass\n")
    sides = {
        "bare interpreter": lambda: bare(folder),
        "sandbox with gateway": lambda: inside(sandbox, gateway, folder),
    }
    took = in_turn(sides, runs)
    show("Launch of an empty script", took)
    bare_ms, sandbox_ms = (1000 * statistics.median(times) for times in took.values())
    print(f"Overhead (difference of medians): {sandbox_ms - bare_ms:.1f} ms\n")


def requests(sandbox: Sandbox, gateway: Gateway, folder: Path) -> None:
    """A request to a plain server on this machine, and one through the gateway."""
    (folder / "main.py").write_text(ASKING)
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    server = uvicorn.Server(uvicorn.Config(hello, log_level="error", lifespan="off"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    took: dict[str, list[float]] = {"plain server": [], "gateway": []}
    for _ in range(5):
        port = listener.getsockname()[1]
        took["plain server"] += json.loads(bare(folder, str(port), str(REQUESTS)))
        took["gateway"] += json.loads(inside(sandbox, gateway, folder, "8000", str(REQUESTS)))
    server.should_exit = True
    thread.join()
    show("A request", took)
    plain, through = (1000 * statistics.median(times) for times in took.values())
    print(f"Overhead (difference of medians): {through - plain:.2f} ms\n")


def imports(sandbox: Sandbox, gateway: Gateway, folder: Path) -> None:
    """What a script's own imports cost, outside and inside."""
    for name in IMPORTS:
        (folder / "main.py").write_text(f"import {name}\n")
        sides = {
            "bare": lambda: bare(folder),
            "sandbox": lambda: inside(sandbox, gateway, folder),
        }
        show(f"import {name}", in_turn(sides, 3))


def many(sandbox: Sandbox, gateway: Gateway, folder: Path) -> None:
    """Many short scripts over all processors; what the grader has open before and after."""
    (folder / "main.py").write_text("print('hello')\n")
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        held = []
        for _ in range(2):  # the first round warms caches
            began = time.perf_counter()
            list(pool.map(lambda _: inside(sandbox, gateway, folder), range(MANY)))
            took = time.perf_counter() - began
            process = psutil.Process()
            gc.collect()
            memory = process.memory_info().rss / MIB
            held.append((process.num_fds(), len(process.children(recursive=True)), memory))
    print(f"{MANY} short scripts over {os.cpu_count()} processors: {took:.1f} s")
    for when, (fds, children, memory) in zip(("before", "after"), held, strict=True):
        print(f"  {when:<8}{fds} descriptors, {children} child processes, {memory:.0f} MiB")
    print()


def in_turn(sides: Mapping[str, Callable[[], object]], runs: int) -> dict[str, list[float]]:
    """Seconds of each side, by its name; one run of each before counts nothing."""
    took: dict[str, list[float]] = {name: [] for name in sides}
    for run in sides.values():
        run()
    for _ in range(runs):
        for name, run in sides.items():
            began = time.perf_counter()
            run()
            took[name].append(time.perf_counter() - began)
    return took


def bare(folder: Path, *arguments: str) -> str:
    """The script's output without a sandbox."""
    command = [sys.executable, "main.py", *arguments]
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout


def inside(sandbox: Sandbox, gateway: Gateway, folder: Path, *arguments: str) -> str:
    """The script's output in the sandbox."""
    ended = sandbox.run(
        RunSpec(files_below(folder), "main.py", arguments),
        lambda listener: gateway.serve(hello, ServiceRecord(), GatewayLimits(), listener),
    )
    if ended.verdict is not ExitReason.OK:
        raise SystemExit(f"the script ended as {ended.verdict}: {ended.stderr.decode()}")
    return ended.stdout.decode()


def show(title: str, took: dict[str, list[float]]) -> None:
    """A line for each side."""
    print(title)
    for name, times in took.items():
        ms = sorted(1000 * seconds for seconds in times)
        ninetieth = ms[int(0.9 * (len(ms) - 1))]
        print(f"  {name:<22}{ms[0]:9.2f}{statistics.median(ms):9.2f}{ninetieth:9.2f}")


if __name__ == "__main__":
    main()
