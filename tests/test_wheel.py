"""The wheel, installed outside the repository, gives a student every command a student uses."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest
from support.paths import ROOT

pytestmark = pytest.mark.live


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out)]
    subprocess.run([*command, str(ROOT)], check=True, capture_output=True)
    (built,) = out.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bin folder of an environment that holds the wheel; dependencies are borrowed."""
    home = tmp_path_factory.mktemp("student") / "venv"
    venv.create(home, symlinks=True, with_pip=False)
    python = home / "bin" / "python"
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    site = home / "lib" / version / "site-packages"
    # Only this folder's packages: .pth files in it, such as our own editable install, do not run.
    (site / "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n")
    subprocess.run(
        [sys.executable, "-m", "pip", "--python", str(python), "install", "-q", "--no-deps",
         "--no-index", "--disable-pip-version-check", str(wheel)],
        check=True,
        capture_output=True,
    )  # fmt: skip
    return home / "bin"


def run(installed: Path, cwd: Path, *arguments: str, expect: int = 0) -> str:
    done = subprocess.run(
        [str(installed / "finegrade"), *arguments],
        cwd=cwd,
        capture_output=True,
        text=True,
        env={"PATH": os.environ["PATH"], "HOME": str(cwd), "HF_HUB_OFFLINE": "1"},
        check=False,
    )
    assert done.returncode == expect, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_the_wheel_carries_what_students_need_and_no_solution(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    for wanted in (
        "grader/_shipped/rubrics/llm-methods.yaml",
        "grader/_shipped/starter/llm-methods/huggingface_lora.py",
        "grader/_shipped/starter/course-model/model.safetensors",
        "grader/_shipped/datasets/educational-qa/train.jsonl",
        "grader/schemas/result.v1.json",
        "grader/schemas/findings.v1.json",
        "grader/training_data/prices.json",
        "grader/training_data/texts/unsafe_words.txt",
        "grader/report/templates/feedback.html.j2",
    ):
        assert wanted in names
    assert not [n for n in names if "solutions/" in n or "/tests/" in n or "hidden/" in n]
    solved = (ROOT / "solutions" / "llm-methods" / "huggingface_custom_lora.py").read_bytes()
    archive = zipfile.ZipFile(wheel)
    assert all(archive.read(name) != solved for name in names if name.endswith(".py"))


def test_the_package_that_runs_is_the_wheels(installed: Path, tmp_path: Path) -> None:
    code = "import grader; print(grader.__file__)"
    done = subprocess.run(
        [str(installed / "python"), "-I", "-c", code],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.startswith(str(installed.parent))


def test_a_student_gets_a_kit_and_checks_it(installed: Path, tmp_path: Path) -> None:
    run(installed, tmp_path, "--help")
    run(installed, tmp_path, "kit", "llm-methods", "work")
    assert (tmp_path / "work" / "course-model" / "model.safetensors").exists()
    assert (tmp_path / "work" / "data" / "train.jsonl").exists()
    assert "LAY030" in run(installed, tmp_path, "check", "work", expect=1)
    assert "Fix:" in run(installed, tmp_path, "explain", "ADP005")


def test_without_torch_files_are_still_checked(installed: Path, tmp_path: Path) -> None:
    from support.classes import write_student

    write_student(tmp_path / "me", 1)
    code = (
        "import sys\n"
        "for name in ('torch', 'transformers', 'peft', 'safetensors'): sys.modules[name] = None\n"
        "sys.argv = ['finegrade', 'check', 'me']\n"
        "from grader.cli.main import main\n"
        "main()"
    )
    done = subprocess.run(
        [str(installed / "python"), "-I", "-c", code],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    assert "EVL001" in done.stdout
    assert "Traceback" not in done.stderr
