"""Feeds broken training files to `check_file` for a while and counts what goes wrong.

    python scripts/fuzz_data_check.py --seconds 600

Needs `atheris` (coverage-guided, on libFuzzer). It starts from the files of `tests/corpus` and
changes bytes, whole lines, or values inside the JSON of a line. Of every report it asks what
`tests/training_data/report_properties.py` asks. Inputs that raise, hold a property no longer or
take too long are written to `--keep`; the exit code says whether there were any.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib
import json
import os
import pkgutil
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
import traceback
import zlib
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parents[1]
CORPUS: Final = ROOT / "tests" / "corpus"
MAX_INPUT_BYTES: Final = 16 * 1024  # longer files only cost speed
SLOW_SECONDS: Final = 5  # a file this small is checked in milliseconds
MEMORY_MIB: Final = 4096
WITHOUT_TOKENS: Final = 100  # runs for one with them: a tokenizer is slow to start
LINES_MUTATED_SHARE: Final = 0.7  # the rest is left to libFuzzer's own mutations
VALUES: Final[tuple[Any, ...]] = (
    None, True, False, 0, 1, -1, 2, 1.0, 1e300, float("inf"), float("nan"), 2**63, 10**20, "", " ",
    "\0", "\ud800", "system", "user", "assistant", "tool", "function", "developer", "{}", "[", "x",
    "https://example.com/a.png", "data:image/png;base64,iVBORw0KGgo=",
    "data:image/jpeg;base64,/9j/", "data:image/webp;base64,UklGRgAAAABXRUJQVlA4",
    [], {}, [[]], [{}], {"role": "user", "content": "x"}, {"type": "text", "text": "x"},
    {"type": "image_url", "image_url": {"url": "x"}},
)  # fmt: skip
PIECES: Final = (
    b"\n", b"\r\n", b"\r", b"\xef\xbb\xbf", b"\0", b"\xff\xfe", b"\\u0000", b"\\ud83d", b"\\ude00",
    b"NaN", b"1e999", b"9" * 30, b"[" * 70, b'{"a":' * 70, b"'", b",", b"}", b"]", b'"', b"\\",
    b"//", b"\x1f\x8b", b"PK\x03\x04", b"\xed\xa0\x80", b"\xc0\xaf", b" ",
)  # fmt: skip


def _change_value(source: random.Random, value: Any) -> Any:
    """The value with one place inside it replaced, dropped, doubled or given another key."""
    places: list[tuple[Any, Any]] = []
    waiting = [value]
    while waiting:
        place = waiting.pop()
        keys = list(place) if isinstance(place, dict) else range(len(place))
        places += [(place, key) for key in keys]
        waiting += [place[key] for key in keys if isinstance(place[key], dict | list)]
    if not places:
        return source.choice(VALUES)
    place, key = source.choice(places)
    way = source.randrange(5)
    if way == 0:
        del place[key]
    elif way == 1 and isinstance(place, list):
        place.insert(key, source.choice((place[key], *VALUES)))
    elif way == 1:
        place[source.choice(("id", "weight", "name", "tools", "input"))] = place[key]
    elif way == 2:
        other_place, other_key = source.choice(places)
        place[key] = json.loads(json.dumps(other_place[other_key]))
    else:
        place[key] = source.choice(VALUES)
    return value


def _change_line(source: random.Random, line: bytes) -> bytes:
    """One line with a value changed, or where it is no JSON with a piece of text put in."""
    if source.random() < 0.75:
        try:
            value = json.loads(line)
            if isinstance(value, dict | list):
                value = _change_value(source, value)
            text = json.dumps(value, ensure_ascii=source.random() < 0.5)
            return text.encode("utf-8", "surrogatepass")
        except (ValueError, RecursionError):
            pass
    at = source.randrange(len(line) + 1)
    return line[:at] + source.choice(PIECES) + line[at + source.randrange(3) :]


def _change_file(source: random.Random, data: bytes, seeds: list[bytes]) -> bytes:
    """A file with lines changed, dropped, doubled, moved, or taken from another file."""
    lines = data.split(b"\n")
    for _ in range(source.choice((1, 1, 2, 4))):
        at = source.randrange(len(lines))
        way = source.randrange(8)
        if way == 0 and len(lines) > 1:
            del lines[at]
        elif way == 1:
            lines.insert(at, source.choice(lines))
        elif way == 2:
            lines.insert(at, source.choice(source.choice(seeds).split(b"\n")))
        else:
            lines[at] = _change_line(source, lines[at])
    return b"\n".join(lines)


def _fuzz(seconds: int, work: Path, keep: Path) -> None:
    """The fuzzing process itself: never returns."""
    import atheris  # only here: the rest needs no fuzzer

    with atheris.instrument_imports(include=["grader.training_data"]):
        from grader.training_data import __name__ as package
        from grader.training_data import __path__ as folders
        from grader.training_data.check import DEFAULT_MODEL, check_file

        for module in pkgutil.iter_modules(folders):  # also those that are imported when needed
            importlib.import_module(f"{package}.{module.name}")
    sys.path.insert(0, str(ROOT / "tests"))
    from support.report_properties import assert_agrees_with_json, assert_can_be_shown

    path = work / "train.jsonl"
    seeds = [one.read_bytes() for one in (work / "seeds").iterdir()]

    def run(data: bytes) -> None:
        path.write_bytes(data)
        started = time.monotonic()
        try:
            tokens = zlib.crc32(data) % WITHOUT_TOKENS == 0
            report = check_file(path, model=DEFAULT_MODEL if tokens else None)
            assert_can_be_shown(report, data)
            assert_agrees_with_json(report, data)
            if time.monotonic() - started > SLOW_SECONDS:
                raise TimeoutError(f"a file of {len(data)} bytes took over {SLOW_SECONDS} s")
        except Exception as error:  # whatever it is, it is what is looked for
            _keep(keep, data, error)

    def mutate(data: bytes, max_size: int, seed: int) -> bytes:
        source = random.Random(seed)
        if source.random() < LINES_MUTATED_SHARE:
            return _change_file(source, data, seeds)[:max_size]
        return bytes(atheris.Mutate(data, max_size))

    limits = [f"-max_total_time={seconds}", f"-max_len={MAX_INPUT_BYTES}", "-timeout=60"]
    options = [*limits, f"-rss_limit_mb={MEMORY_MIB}", f"-artifact_prefix={keep}/"]
    found = work / "found"
    found.mkdir()
    atheris.Setup(
        [sys.argv[0], *options, str(found), str(work / "seeds")], run, custom_mutator=mutate
    )
    atheris.Fuzz()


def _keep(keep: Path, data: bytes, error: Exception) -> None:
    """Writes one input for each place in the code at which something goes wrong."""
    frames = traceback.extract_tb(error.__traceback__)
    place = " < ".join(f"{Path(f.filename).name}:{f.lineno}" for f in reversed(frames))
    name = hashlib.sha256(f"{type(error).__name__} {place}".encode()).hexdigest()[:12]
    if not (keep / f"{name}.jsonl").exists():
        (keep / f"{name}.jsonl").write_bytes(data)
        text = f"{type(error).__name__}: {str(error)[:500]}\n{place}\n"
        (keep / f"{name}.txt").write_text(text, "utf-8", "backslashreplace")


def _watch(seconds: int, keep: Path) -> int:
    """Starts the fuzzing process, reads what libFuzzer says, and prints a summary."""
    keep.mkdir(parents=True, exist_ok=True)
    base = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # memory: a file a run
    with tempfile.TemporaryDirectory(dir=base) as work:
        seeds = Path(work) / "seeds"
        seeds.mkdir()
        for one in CORPUS.iterdir():
            if one.name != "expected.json" and one.stat().st_size <= MAX_INPUT_BYTES:
                shutil.copyfile(one, seeds / one.name)
        count = len(list(seeds.iterdir()))
        command = [sys.executable, __file__, "--seconds", str(seconds), "--keep", str(keep)]
        started = time.monotonic()
        with subprocess.Popen(
            [*command, "--inside", work],
            cwd=ROOT,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
        ) as child:
            executions, coverage, first_coverage, last = 0, 0, 0, ""
            for text in child.stderr or ():
                last = text.strip() or last
                if told := re.match(r"#(\d+)\s+(\w+)\s+cov: (\d+)", text):
                    executions, coverage = int(told[1]), int(told[3])
                    first_coverage = first_coverage or (coverage if told[2] == "INITED" else 0)
                elif told := re.match(r"Done (\d+) runs", text):
                    executions = int(told[1])
        took = time.monotonic() - started
    faults = sorted(keep.glob("*.txt"))
    for fault in faults:
        print(f"{fault.with_suffix('.jsonl')}\n  {fault.read_text('utf-8').rstrip()}")
    print(
        f"{executions} executions in {took:.0f} s ({executions / took:.0f} a second) from {count} "
        f"files; {coverage} branches covered, {first_coverage} by the files themselves; "
        f"{len(faults)} faults"
    )
    if child.returncode:
        print(f"the fuzzer ended with {child.returncode}: {last}")
    return 1 if faults or child.returncode else 0


def main() -> int:
    """Runs the fuzzer for `--seconds`; 1 when it found something."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument(
        "--keep", type=Path, default=Path(tempfile.gettempdir()) / "data-check-faults"
    )
    parser.add_argument("--inside", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.inside is not None:
        _fuzz(given.seconds, given.inside, given.keep)
    return _watch(given.seconds, given.keep.resolve())


if __name__ == "__main__":
    sys.exit(main())
