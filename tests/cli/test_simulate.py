"""`finegrade simulate` as it is typed."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from support.paths import ROOT
from support.waiting import PATIENCE

from grader.cli.main import main
from grader.openai_sim.store.scenarios import SCENARIOS


def finegrade(*words: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1"}
    environment.pop("OPENAI_API_KEY", None)
    return subprocess.run(
        [sys.executable, "-m", "grader.cli.main", "simulate", *words],
        capture_output=True,
        text=True,
        env=environment,
        timeout=PATIENCE,
        check=False,
    )


def test_list_names_every_scenario() -> None:
    done = finegrade("--list")
    assert done.returncode == 0
    assert [line.split()[0] for line in done.stdout.splitlines()] == list(SCENARIOS)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--scenario", "sunrise"], "There is no scenario sunrise"),
        (["--base", "gpt2"], "NAME@REVISION"),
        (["--host", "no.such.host.invalid"], "cannot listen"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_2(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    said: str,
) -> None:
    command = ["finegrade", "simulate", "--home", str(tmp_path / "home"), *words]
    monkeypatch.setattr(sys, "argv", command)
    umask = os.umask(0o022)  # the command changes it for its process, which is ours here
    try:
        with pytest.raises(SystemExit) as ended:
            main()
    finally:
        os.umask(umask)
    assert ended.value.code == 2
    told = capsys.readouterr().err
    assert said in told
    assert "Traceback" not in told


def test_a_port_that_is_taken_is_told(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = finegrade("--home", str(tmp_path), "--port", str(port))
    assert done.returncode == 2
    assert f"port {port}" in done.stderr


def test_a_command_runs_against_the_service_and_its_journal_is_summed_up(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        "import openai, sys\n"
        "client = openai.OpenAI()\n"
        "ask = [{'role': 'user', 'content': 'Hello'}]\n"
        "for model in ('gpt-4o-mini', 'gpt-4.1-mini-2025-04-14'):\n"
        "    said = client.chat.completions.create(model=model, messages=ask, max_tokens=4)\n"
        "    assert said.model == model and said.usage.completion_tokens > 0\n"
        "sys.exit(7)\n"
    )
    done = finegrade(
        *("--home", str(tmp_path / "home"), "--port", "0", "--", sys.executable, str(program))
    )
    assert done.returncode == 7, done.stderr
    assert "2 requests, 0 files uploaded, 0 jobs created" in done.stderr
    assert "gpt-4o-mini (1), gpt-4.1-mini-2025-04-14 (1)" in done.stderr


def test_beyond_loopback_clients_need_a_key(tmp_path: Path) -> None:
    program = (
        "import os, urllib.request, urllib.error\n"
        "assert os.environ['OPENAI_API_KEY'] not in ('', 'sk-finegrade-local')\n"
        "try:\n"
        "    urllib.request.urlopen(os.environ['OPENAI_BASE_URL'] + '/models')\n"
        "except urllib.error.HTTPError as error:\n"
        "    raise SystemExit(error.code - 400)\n"
    )
    done = finegrade(
        *("--home", str(tmp_path), "--host", "0.0.0.0", "--port", "0"),
        *("--", sys.executable, "-c", program),
    )
    assert done.returncode == 1, done.stderr
