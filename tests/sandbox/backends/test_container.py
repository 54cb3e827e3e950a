"""The container backend's commands and refusals, with clients of engines that are no engines."""

from __future__ import annotations

import io
import os
import tarfile
from contextlib import closing
from pathlib import Path

import pytest

from grader.core.errors import GraderFault
from grader.sandbox.api import RunSpec
from grader.sandbox.backends.container import Container, command, refusal
from grader.sandbox.backends.container_image import image
from grader.sandbox.staging import StagedFiles


def command_line(folder: Path, engine: str, launch: RunSpec) -> list[str]:
    with closing(StagedFiles(launch, public=False)) as staged:
        return command(engine, "name", launch, staged, 61_001, False, folder)


@pytest.mark.parametrize("engine", ["/usr/bin/docker", "/usr/bin/podman"])
def test_every_wall_is_in_the_command(tmp_path: Path, engine: str):
    line = command_line(tmp_path, engine, RunSpec({}, "a.py"))
    text = " ".join(line)
    assert line[:2] == [engine, "run"]
    assert "--privileged" not in text
    for wall in (
        "--network none",
        "--read-only",
        "--cap-drop ALL",
        "--security-opt no-new-privileges",
        "--ipc none",
        "--user 61001:61001",
        "--pids-limit 80",
        f"--security-opt seccomp={tmp_path}/filter.json",
    ):
        assert wall in text
    mounts = [line[at + 1] for at, option in enumerate(line) if option == "--mount"]
    assert mounts
    assert all(mount.endswith(",readonly") for mount in mounts)
    sizes = [line[at + 1] for at, option in enumerate(line) if option == "--tmpfs"]
    assert all("size=" in size and "nosuid" in size for size in sizes)


def test_a_path_that_would_be_two_options_is_refused(tmp_path: Path):
    folder = tmp_path / "a,readonly=false"
    folder.mkdir()
    with pytest.raises(GraderFault, match="rename it"):
        command_line(folder, "docker", RunSpec({}, "a.py"))


def test_the_image_holds_no_program_but_ours():
    with tarfile.open(fileobj=io.BytesIO(image())) as archive:
        filled = sorted(entry.name for entry in archive if entry.isfile() and entry.size)
    assert [name for name in filled if not name.startswith("etc/")] == [
        "opt/finegrade/start.pyc",
        *(name for name in filled if name == "opt/venv/pyvenv.cfg"),
    ]


SAYS = {
    "its daemon does not run": "Cannot connect to the Docker daemon at unix:///x. Is it running?",
    "sudo usermod -aG docker": "dial unix /var/run/docker.sock: connect: permission denied",
    "info` fails (it broke)": "first\nit broke",
}


@pytest.mark.parametrize("expected", SAYS)
def test_it_says_why_an_engine_does_not_work(tmp_path: Path, expected: str):
    client = tmp_path / "docker"
    client.write_text(f"#!/bin/sh\ncat >&2 <<'END'\n{SAYS[expected]}\nEND\nexit 1\n")
    client.chmod(0o755)
    assert expected in (refusal(str(client)) or "")


def test_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    why = Container().why_not()
    assert why is not None
    assert "apt install podman" in why
    assert os.environ["PATH"] == str(tmp_path)
