"""Grade the same workflows twice, once beside busy processes, and compare the results.

Usage: scripts/grade_twice.py [--busy N] [--rounds N] [NAME...]. NAMEs are variants of
tests/experts/variants/openai; "solution" is the one in solutions/. Each grading trains anew. Prints
what differs in findings and scores, and the wall time of each grading.
Exit code: 0 when all are equal byte for byte, else 1.
"""

from __future__ import annotations

import argparse
import difflib
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
EXPERTS, SOLUTION = ROOT / "tests" / "experts", ROOT / "solutions" / "llm-methods"
VARIANTS = EXPERTS / "variants" / "openai"
SCRIPT = "openai_domain_finetune.py"
DATA = ("openai_train.jsonl", "openai_test.jsonl")
ASSIGNMENT = EXPERTS / "part2.yaml"
NAMES = ("solution", "good", "naive", "busy", "endless")


def main() -> int:
    """Grade, compare and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", default=NAMES)
    parser.add_argument("--busy", type=int, default=4, help="busy processes beside every other one")
    parser.add_argument("--rounds", type=int, default=2, help="gradings, every second one is busy")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        write_class(work / "class", options.names)
        results = []
        for number in range(options.rounds):
            beside = options.busy if number % 2 else 0
            began = time.monotonic()
            with busy_processes(beside):
                results.append(graded(work / "class", work / str(number)))
            took = time.monotonic() - began
            print(f"Grading {number + 1}, beside {beside} busy processes: {took:.0f} s", flush=True)
    found = [line for other in results[1:] for line in differences(results[0], other)]
    print("\n".join(found) or f"{len(results[0])} results are equal, byte for byte.")
    return 1 if found else 0


def differences(one: dict[str, str], other: dict[str, str]) -> list[str]:
    """The lines in which the results of the same students differ."""
    return [
        line
        for name, text in other.items()
        for line in difflib.unified_diff(one[name].split("\n"), text.split("\n"), name, name)
    ]


def write_class(folder: Path, names: list[str]) -> None:
    """A class with one student for each script."""
    for name in names:
        home = folder / name
        home.mkdir(parents=True)
        own = SOLUTION if name == "solution" else VARIANTS
        shutil.copy(own / (SCRIPT if name == "solution" else f"{name}.py"), home / SCRIPT)
        for file in DATA:
            shutil.copy(own / file, home)


@contextmanager
def busy_processes(number: int) -> Iterator[None]:
    """So many processes that do nothing but keep processors busy."""
    command = [sys.executable, "-c", "while True: pass"]
    processes = [subprocess.Popen(command) for _ in range(number)]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


def graded(folder: Path, out: Path) -> dict[str, str]:
    """Findings and scores of each student, as text."""
    command = ["finegrade", "grade", str(folder), "--out", str(out / "out")]
    command[:1] = [sys.executable, "-m", "grader.cli.main"]
    more = ["--assignment", str(ASSIGNMENT), "--hidden", str(hidden(out))]
    subprocess.run([*command, *more], check=True, stdout=subprocess.DEVNULL)
    found = {}
    for file in sorted((out / "out" / "staff").glob("*/result.json")):
        result = json.loads(file.read_text("utf-8"))
        told = {name: result[name] for name in ("status", "points", "criteria", "findings")}
        found[file.parent.name] = json.dumps(told, indent=1, ensure_ascii=False)
    return found


def hidden(out: Path) -> Path:
    """A hidden set, the same each time."""
    folder = out / "hidden"
    command = [
        sys.executable,
        "-m",
        "grader.cli.main",
        "hidden",
        "make",
        "--seed",
        "7",
        "--questions",
        "10",
    ]
    more = ["--assignment", str(ASSIGNMENT), "--out", str(folder)]
    subprocess.run([*command, *more], check=True, stdout=subprocess.DEVNULL)
    return folder


if __name__ == "__main__":
    sys.exit(main())
