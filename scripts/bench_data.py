"""Times `finegrade data check` on a million chat examples beside two peers, in one run.

Run from the repository root: python scripts/bench_data.py (or make bench). The file is made anew
with a fixed seed: about 400 MB; of 100 examples 93 are plain (2 to 6 messages), 5 hold letters
beyond ASCII (half of them escaped) and 2 call a tool. The peers are a bare loop of orjson.loads
over the same file, and the jsonschema package on the published schema (on the first 5,000 lines,
for it is slow). Each runs in a process of its own; the fastest of the rounds counts.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROUNDS = 3
SCHEMA_LINES = 5_000
SCHEMA = Path(__file__).parents[1] / "grader" / "schemas" / "training-chat.v1.json"
TEXT = """
the a of to in is that it as for was with on be by are this from or have an they which one you
were all her she there would their we him been has when who will no more if out so up said what
its about than into them can only other time new some could these two may first then do any like
my now over such our man me even most made after also did many water temperature sensor valve
pump river capital energy cell number history battery voltage
"""
WORDS = TEXT.split()
ACCENTED = ["café", "naïve", "Zürich", "señor", "北京", "δέλτα", "Привет", "😀", "coördinate"]
TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "get_weather",
            "description": "Current weather of a place",
            "parameters": {
                "type": "object",
                "properties": {"place": {"type": "string"}, "unit": {"enum": ["C", "F"]}},
                "required": ["place"],
            },
        },
    }
]


def text(rng: random.Random, words: int, extra: list[str] | None = None) -> str:
    """A line of words."""
    chosen = rng.choices(WORDS, k=words)
    if extra:
        chosen[rng.randrange(words)] = rng.choice(extra)
    return " ".join(chosen).capitalize() + "."


def example(rng: random.Random, number: int) -> str:
    """One line of the file."""
    dice = rng.random()
    extra = ACCENTED if dice < 0.05 else None
    messages = [{"role": "system", "content": "Answer the question with what you know. Be short."}]
    for _ in range(rng.choice((1, 1, 1, 2))):
        messages.append({"role": "user", "content": text(rng, rng.randint(8, 30), extra)})
        messages.append({"role": "assistant", "content": text(rng, rng.randint(8, 30), extra)})
    value: dict[str, object] = {"messages": messages}
    if dice > 0.98:
        call = {"name": "get_weather", "arguments": json.dumps({"place": text(rng, 2)})}
        calls = [{"id": f"call_{number}", "type": "function", "function": call}]
        messages[-1] = {"role": "assistant", "content": None, "tool_calls": calls}  # type: ignore[dict-item]
        value["tools"] = TOOLS
    return json.dumps(value, ensure_ascii=dice < 0.025)


def make_file(path: Path, lines: int) -> None:
    """Write the file."""
    rng = random.Random(20_260_101)
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for number in range(lines):
            file.write(example(rng, number) + "\n")


def bare(path: Path) -> int:
    """The bare reader."""
    import orjson

    loads, count = orjson.loads, 0
    with path.open("rb") as file:
        for line in file:
            loads(line)
            count += 1
    return count


def rules(path: Path) -> int:
    """Our first pass: the form of the file, and every line against every rule of a line."""
    from grader.training_data.lines.line_checks import check_lines

    faults: list[object] = []
    lines = check_lines(path, None, faults.append, lambda _: None)
    assert not faults, faults[:3]
    return lines.examples


def whole(path: Path) -> int:
    """All of `data check`: the first pass, duplicates, content, tokens and cost."""
    from grader.training_data.check import check_file

    return check_file(path).examples


def schema(path: Path) -> int:
    """The jsonschema package, on the first lines."""
    from jsonschema import Draft202012Validator

    validator = Draft202012Validator(json.loads(SCHEMA.read_text(encoding="utf-8")))
    with path.open("rb") as file:
        for count, line in enumerate(file, 1):
            assert validator.is_valid(json.loads(line))
            if count == SCHEMA_LINES:
                break
    return count


MEASURED: dict[str, Callable[[Path], int]] = {
    "bare": bare,
    "rules": rules,
    "schema": schema,
    "whole": whole,
}


def measure(name: str, path: Path) -> tuple[float, float]:
    """(microseconds an example, peak MiB) of one way, in a fresh process."""
    command = [sys.executable, __file__, "--only", name, "--file", str(path)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    found = json.loads(done.stdout)
    return found["microseconds"], found["peak_mib"]


def main() -> None:
    """Make the file, time each way in turn, print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lines", type=int, default=1_000_000)
    parser.add_argument("--only", choices=MEASURED, help=argparse.SUPPRESS)
    parser.add_argument("--file", type=Path, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.only:
        start = time.perf_counter()
        count = MEASURED[chosen.only](chosen.file)
        seconds = time.perf_counter() - start
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024  # Linux counts KiB
        print(json.dumps({"microseconds": seconds / count * 1e6, "peak_mib": peak}))
        return
    with tempfile.TemporaryDirectory(prefix="finegrade-bench-") as work:
        path = Path(work) / "examples.jsonl"
        make_file(path, chosen.lines)
        print(f"{chosen.lines:,} chat examples, {path.stat().st_size / 1e6:.0f} MB")
        ways = {"bare": "orjson.loads, nothing else", "rules": "all rules of a line"}
        ways |= {
            "schema": f"jsonschema ({SCHEMA_LINES:,} lines)",
            "whole": "data check, all passes",
        }
        best: dict[str, float] = {}
        for name, words in ways.items():
            rounds = [measure(name, path) for _ in range(1 if name == "whole" else ROUNDS)]
            best[name], peak = min(rounds)[0], max(peak for _, peak in rounds)
            print(f"{words:28} {best[name]:9.2f} µs an example, peak {peak:4.0f} MiB")
        print(f"rules : orjson     = {best['rules'] / best['bare']:.2f} (at most 4)")
        print(f"jsonschema : rules = {best['schema'] / best['rules']:.0f} (at least 10)")


if __name__ == "__main__":
    main()
