"""Writes tests/fixtures/<CODE>/{pass,fail}/ of most checks: always the same bytes.

Each folder is a small class: its folders and archives are submissions. Run it from the repository
root with `python tests/make_fixtures.py` after a change and commit what it writes.
"""

from __future__ import annotations

import json
import shutil
import stat
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from support.adapters import WIDTH, config, pair, random_pair, safetensors, write_adapter
from support.benchmarks import BENCHMARK, TRUE, answered, tuned
from support.benchmarks import results as benchmark_results
from support.bonus import (
    ASKED,
    HANDED_IN,
    SCRIPTS,
    asks,
    examined,
    file_of,
    hybrid,
    taught,
    tuned_run,
)
from support.dspy_runs import (
    PAIRS,
    STEPS,
    enhanced,
    judged,
    original,
    passage,
    perturbed,
    reference,
    results,
    scores,
    word_matching,
)
from support.notebooks import notebook
from support.paths import SOLUTION, TESTS
from support.predictions import evidence
from support.transcripts import (
    BASE,
    CLOSED_SAID,
    FAULT_SAID,
    JOB,
    JOBS,
    KEY_SAID,
    QUESTIONS,
    TEST,
    TRAIN,
    TUNED,
    Run,
    chat_line,
    error,
    followed,
    good,
    job,
)
from support.written_work import read, unread
from support.zips import Entry, zip_bytes

from grader.core.constants import INTAKE_MAX_DEPTH, INTAKE_MAX_STUDENT_CHARS, MIB
from grader.core.nouns import Evidence
from grader.evidence.metric_scores import MetricCase

Writer = Callable[[Path], None]
PASS, FAIL = "pass", "fail"
_NOTE = Entry("notes.md", b"One note.\n")

_DELIVERABLES = (
    "dspy_enhanced.py",
    "dspy_report.md",
    "openai_domain_finetune.py",
    "openai_train.jsonl",
    "openai_test.jsonl",
    "cost_analysis.md",
    "cost_analysis.json",
    "huggingface_custom_lora.py",
    "inference.py",
    "metrics.json",
    "comparative_analysis.md",
    "reflection.md",
)


def _files(*names: str, adapter: bool = True) -> Writer:
    """One submission with these files, each a line of text, and a good adapter."""

    def write(folder: Path) -> None:
        for name in names:
            path = folder / "s01" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"# {path.name}\n")
        if adapter:
            write_adapter(folder / "s01" / "adapter")

    return write


def _without(*names: str, adapter: bool = True) -> Writer:
    return _files(*(name for name in _DELIVERABLES if name not in names), adapter=adapter)


def _zip(*entries: Entry, **options: object) -> Writer:
    """One submission that is this archive."""

    def write(folder: Path) -> None:
        (folder / "s01.zip").write_bytes(zip_bytes(entries, **options))  # type: ignore[arg-type]

    return write


def _raw(data: bytes) -> Writer:
    return lambda folder: (folder / "s01.zip").write_bytes(data) and None


def _adapter(**options: object) -> Writer:
    """One submission with this adapter and nothing else."""

    def write(folder: Path) -> None:
        write_adapter(folder / "s01" / "adapter", **options)  # type: ignore[arg-type]
        (folder / "s01" / "readme.md").write_text("An adapter.\n")

    return write


def _pickle_beside(folder: Path) -> None:
    _adapter()(folder)
    (folder / "s01" / "adapter" / "optimizer.pt").write_bytes(b"\x80\x02N.")


def _pickle_instead(folder: Path) -> None:
    _adapter()(folder)
    here = folder / "s01" / "adapter"
    (here / "adapter_model.safetensors").unlink()
    (here / "adapter_model.bin").write_bytes(b"\x80\x02N.")


def _class_of_two(second_seed: int) -> Writer:
    """Two submissions with times; the second is a copy when the seed is 0 as well."""

    def write(folder: Path) -> None:
        for student, seed in (("s01-first", 0), ("s02-second", second_seed)):
            write_adapter(folder / student / "adapter", seed=seed)
            (folder / student / "readme.md").write_text("An adapter.\n")
        (folder / "submissions.csv").write_text(
            "student,submitted_at\n"
            "s01-first,2026-03-01T10:00:00+00:00\n"
            "s02-second,2026-03-02T10:00:00+00:00\n"
        )

    return write


def _same_student(folder: Path) -> None:
    _files("notes.md", adapter=False)(folder)
    _zip(_NOTE)(folder)


def _named(name: str) -> Writer:
    return lambda folder: (folder / name).write_bytes(zip_bytes([_NOTE])) and None


_A, _B = random_pair()
_NAN = _A.copy()
_NAN[0, 0] = np.nan
_HEADER_CUT = safetensors(pair(_A, _B))[:-1]
_WIDE = np.ones((2, WIDTH + 1), np.float32)
_ALL = _files(*_DELIVERABLES)
_LINK = Entry("notes.md", b"/etc/passwd", mode=stat.S_IFLNK | 0o777)
_SHARED = Entry("two.md", b"One note.\n", offset=0, local_name=b"two.md")


def _evaluated(right: int, *, claimed: float = 0.9, loglik_wrong: float = -5.0) -> Writer:
    """A submission whose adapter answered `right` of 100; evidence stands in a dot file."""

    def write(folder: Path) -> None:
        _files("huggingface_custom_lora.py", "inference.py")(folder)
        claims = {"before": {"exact_match": 0.0}, "after": {"exact_match": claimed}}
        (folder / "s01" / "metrics.json").write_text(json.dumps(claims) + "\n")
        runs = {"before": evidence(0), "after": evidence(right, loglik_wrong=loglik_wrong)}
        found = {id: [run.payload, run.cost] for id, run in runs.items()}
        (folder / ".evidence.json").write_text(json.dumps(found) + "\n")

    return write


def _ran(id: str = "", ran: Evidence | None = None, *, test: str = TEST) -> Writer:
    """A submission of Part 2 with this test set, whose workflow did this in one scenario."""

    def write(folder: Path) -> None:
        _files("openai_domain_finetune.py", adapter=False)(folder)
        (folder / "s01" / "openai_train.jsonl").write_text(TRAIN)
        (folder / "s01" / "openai_test.jsonl").write_text(test)
        if ran is not None:
            found = {id: [ran.payload, ran.cost]}
            (folder / ".evidence.json").write_text(json.dumps(found) + "\n")

    return write


def _bonus(
    id: str = "", ran: Evidence | None = None, *, files: Mapping[str, str] = HANDED_IN
) -> Writer:
    """A submission of bonus challenges, one of which did this."""

    def write(folder: Path) -> None:
        for name, text in files.items():
            _files(name, adapter=False)(folder)
            (folder / "s01" / name).write_text(text)
        if ran is not None:
            found = {id: [ran.payload, ran.cost]}
            (folder / ".evidence.json").write_text(json.dumps(found) + "\n")

    return write


def _program(*, files: dict[str, str] | None = None, **runs: Evidence) -> Writer:
    """A submission of Part 1 whose program or metric did this."""

    def write(folder: Path) -> None:
        _files("dspy_enhanced.py", "dspy_report.md", adapter=False)(folder)
        for name, text in (files or {}).items():
            (folder / "s01" / name).write_text(text + "\n")
        found = {id: [run.payload, run.cost] for id, run in runs.items()}
        (folder / ".evidence.json").write_text(json.dumps(found) + "\n")

    return write


def _written(name: str, data: bytes, evidence: Evidence | None = None) -> Writer:
    """A complete submission in which this document is so; `evidence` says what was read of it."""

    def write(folder: Path) -> None:
        id = name.partition(".")[0]
        _without(f"{id}.md", adapter=False)(folder)
        (folder / "s01" / name).write_bytes(data)
        seen = evidence or read(folder / "s01", name)
        found = {f"{id.removeprefix('comparative_')}_text": [seen.payload, seen.cost]}
        (folder / ".evidence.json").write_text(json.dumps(found) + "\n")

    return write


def _about(document: str, words: int) -> Writer:
    return _written(f"{document}.md", b"# A title\n\n" + b"A word. " * (words // 2))


def _notebook(name: str, data: bytes) -> Writer:
    """A complete submission with this notebook in a script's place."""

    def write(folder: Path) -> None:
        _without(f"{name}.py", adapter=False)(folder)
        (folder / "s01" / f"{name}.ipynb").write_bytes(data)

    return write


def _metric(**changed: float) -> Writer:
    """A submission whose metric judges as we do, but for these kinds of answers."""

    def metric(case: MetricCase) -> float:
        return changed.get(case.kind, judged(case))

    return _program(dspy_metric=scores(metric), dspy_metric_original=scores(word_matching))


def _forgets(n: int) -> str | None:
    """A program's answers, with none to every fourth question."""
    return reference(n) if n % 4 else None


_REPORTED = {"dspy_results.json": results()}
_ENHANCED = enhanced(context=passage, outputs=STEPS)
_BOTH = {"dspy_original": original(), "dspy_enhanced": _ENHANCED}
_QUIET = enhanced(calls=0)  # for checks that look at no prompt
_QUIET_BOTH = {"dspy_original": original(calls=0), "dspy_enhanced": _QUIET}


def _costs(**changes: object) -> Writer:
    """One submission with the solution's dataset and numbers, some of them changed.

    A name such as `training__usd` is a path into the numbers.
    """

    def write(folder: Path) -> None:
        home = folder / "s01"
        home.mkdir()
        shutil.copyfile(SOLUTION / "openai_train.jsonl", home / "openai_train.jsonl")
        numbers = json.loads((SOLUTION / "cost_analysis.json").read_text())
        for name, value in changes.items():
            *path, last = name.split("__")
            at = numbers
            for step in path:
                at = at[step]
            at[last] = value
        (home / "cost_analysis.json").write_text(json.dumps(numbers, indent=2) + "\n")

    return write


def _normally(ran: Evidence) -> tuple[Writer, Writer]:
    """When nothing goes wrong: a workflow that does it all, and this one."""
    return _ran("openai_ok", good()), _ran("openai_ok", ran)


def _refused_once(status: int, wait: float) -> Evidence:
    run = Run().upload().create()
    run.call("GET", f"{JOBS}/{JOB}", after=10, status=status, retry_after=1)
    return run.look("succeeded", after=wait).ended()


def _no_training(simulated: bool) -> Evidence:
    told = error(CLOSED_SAID, "training_not_available")
    run = Run().upload().call("POST", JOBS, told=told, status=403)
    return run.writes(simulated=simulated).ended(stdout=CLOSED_SAID)


def _lost_answer(*, again: bool) -> Evidence:
    run = Run().upload().create(status=499, takes=5.0)
    if again:
        return run.create("ftjob-two").look("succeeded", id="ftjob-two").ended()
    return run.call("GET", JOBS, told={"data": [job("queued")]}).look("succeeded").ended()


def _dead_key(stderr: str) -> Evidence:
    told = error(KEY_SAID, "invalid_api_key")
    return Run().call("POST", "/v1/files", told=told, status=401).ended(1, stderr=stderr)


def _benchmark(
    id: str = "",
    ran: Evidence | None = None,
    *,
    benchmark: str = BENCHMARK,
    claims: Mapping[str, object] = TRUE,
) -> Writer:
    """A submission of all parts with this benchmark, which one approach answered so."""

    def write(folder: Path) -> None:
        _files(*_DELIVERABLES, "extended_evaluation.py", adapter=id == "bench_lora")(folder)
        (folder / "s01" / "benchmark.jsonl").write_text(benchmark)
        (folder / "s01" / "benchmark_results.json").write_text(benchmark_results(claims))
        if ran is not None:
            found = {id: [ran.payload, ran.cost]}
            (folder / ".evidence.json").write_text(json.dumps(found) + "\n")

    return write


_FAILED = followed(end="failed").ended(1, stderr=FAULT_SAID)
_IGNORED = followed(end="failed").ended(0)
_OTHER_DOMAIN = "".join(chat_line(f"Who wrote novel {n}?", f"Author {n}") for n in range(10))

_PDF = b"%PDF-1.7\n%%EOF\n"
_SOME_WORDS = _about("reflection", 300)
_WORKS = notebook("md:# My work", "%pip install dspy", "x = 1\nprint(x)")
_CUT = _WORKS[: len(_WORKS) // 2]

FIXTURES: dict[str, tuple[Writer, Writer]] = {
    "LAY001": (_ALL, _files("homework.txt", adapter=False)),
    "LAY002": (_ALL, _files("old/reflection.md", "new/reflection.md", "notes.md")),
    "LAY003": (_without("dspy_report.md"), _without("dspy_report.md", "metrics.json")),
    "LAY010": (_ALL, _without("dspy_report.md")),
    "LAY020": (_ALL, _without("openai_train.jsonl")),
    "LAY021": (_ALL, _without("cost_analysis.json")),
    "LAY022": (_ALL, _without("openai_train.jsonl")),
    "LAY030": (_ALL, _without("inference.py")),
    "LAY040": (_ALL, _without("comparative_analysis.md")),
    "LAY041": (_ALL, _without("reflection.md")),
    "LAY101": (_zip(_NOTE, comment=b"of s01"), _raw(b"Rar!\x1a\x07\x01\x00 not a zip")),
    "LAY102": (_zip(_NOTE), _zip(Entry("notes.md", b"One note.\n", crc=1))),
    "LAY103": (_zip(Entry("work/..notes.md", b"n")), _zip(Entry("../notes.md", b"n"))),
    "LAY104": (_zip(_NOTE), _zip(_LINK)),
    "LAY105": (_zip(_NOTE), _zip(Entry("notes.md", b"n", method=0, size=2048 * MIB))),
    "LAY106": (
        _zip(Entry("zeros.txt", bytes(3 * MIB))),
        _zip(Entry("zeros.txt", bytes(5 * MIB))),
    ),
    "LAY107": (_zip(_NOTE), _zip(_NOTE, count=60_000)),
    "LAY108": (
        _zip(Entry("a/notes.md", b"1"), Entry("b/Notes.md", b"2")),
        _zip(Entry("notes.md", b"1"), Entry("Notes.md", b"2")),
    ),
    "LAY109": (_zip(_NOTE), _zip(Entry("notes.md", b"One note.\n", flags=1))),
    "LAY110": (_zip(Entry("notes.md", b"n", flags=8)), _zip(_NOTE, _SHARED)),
    "LAY111": (_zip(Entry("notes.md", b"n", method=0)), _zip(Entry("notes.md", b"n", method=14))),
    "LAY112": (
        _zip(Entry("d/" * INTAKE_MAX_DEPTH + "notes.md", b"n")),
        _zip(Entry("d/" * (INTAKE_MAX_DEPTH + 1) + "notes.md", b"n")),
    ),
    "LAY113": (_zip(Entry("nötes.md", b"n")), _zip(Entry("notes\u202edm.exe", b"n"))),
    "LAY114": (_zip(_NOTE), _zip(Entry("__MACOSX/._notes.md", b"n"), Entry(".DS_Store", b"n"))),
    "LAY115": (_zip(_NOTE), _same_student),
    "LAY116": (
        _named("s" * INTAKE_MAX_STUDENT_CHARS + ".zip"),
        _named("s" * (INTAKE_MAX_STUDENT_CHARS + 1) + ".zip"),
    ),
    "ADP001": (_adapter(), _pickle_instead),
    "ADP002": (_adapter(), _adapter(settings=config(target_modules=".*_proj"))),
    "ADP003": (_adapter(), _adapter(weights=_HEADER_CUT)),
    "ADP004": (
        _adapter(weights=safetensors(pair(_A, _B, suffix=".default"))),
        _adapter(weights=safetensors(pair(_A, _B)[:1])),
    ),
    "ADP005": (_adapter(), _adapter(weights=safetensors(pair(_WIDE, _B)))),
    "ADP006": (_adapter(), _adapter(settings=config(r=65))),
    "ADP007": (_adapter(), _adapter(weights=safetensors(pair(_NAN, _B)))),
    "ADP008": (
        _adapter(settings=config(base_model_name_or_path="C:\\kit\\course-model\\")),
        _adapter(settings=config(base_model_name_or_path="other/tiny-model")),
    ),
    "ADP009": (
        _adapter(settings=config(use_rslora=True)),
        _adapter(settings=config(use_dora=True)),
    ),
    "ADP010": (_adapter(), _adapter(weights=safetensors(pair(_A, np.zeros_like(_B))))),
    "ADP011": (_adapter(), _pickle_beside),
    "DOC001": (_about("comparative_analysis", 900), _written("comparative_analysis.md", b"\xff")),
    "DOC002": (_about("reflection", 300), _written("reflection.md", b"\xff")),
    "DOC003": (_about("dspy_report", 300), _written("dspy_report.md", b"\xff")),
    "DOC004": (_about("cost_analysis", 300), _written("cost_analysis.md", b"\xff")),
    "DOC010": (_about("comparative_analysis", 900), _about("comparative_analysis", 50)),
    "DOC011": (_about("reflection", 300), _about("reflection", 3_000)),
    "DOC101": (_SOME_WORDS, _written("reflection.pdf", b"<html>A page.</html>\n")),
    "DOC102": (_SOME_WORDS, _written("reflection.md", b"Caf\xe9\n")),
    "DOC103": (_SOME_WORDS, _written("reflection.pdf", _PDF, unread("reflection.pdf", "DOC103"))),
    "DOC104": (_SOME_WORDS, _written("reflection.md", b"\n")),
    "DOC105": (_SOME_WORDS, _written("reflection.pdf", _PDF, unread("reflection.pdf", "DOC105"))),
    "SRC012": (_notebook("dspy_enhanced", _WORKS), _notebook("dspy_enhanced", _CUT)),
    "SRC013": (
        _notebook("openai_domain_finetune", _WORKS),
        _notebook("openai_domain_finetune", _CUT),
    ),
    "SRC101": (_notebook("inference", _WORKS), _notebook("inference", _CUT)),
    "SRC102": (_notebook("inference", _WORKS), _notebook("inference", notebook("md:No code."))),
    "SRC103": (
        _notebook("inference", _WORKS),
        _notebook("inference", notebook("x = 1", "!python train.py")),
    ),
    "TOK101": (_costs(), _costs(break_even="many")),
    "TOK102": (_costs(), _costs(training__tokens_per_epoch=500)),
    "TOK103": (_costs(), _costs(training__billed_tokens=573)),
    "TOK104": (_costs(), _costs(training__usd=16.175)),
    "TOK105": (_costs(), _costs(prices__training=3)),
    "TOK106": (_costs(), _costs(per_query__base__shots=0)),
    "TOK107": (_costs(), _costs(per_query__tuned__usd=0.0000144)),
    "TOK108": (_costs(), _costs(break_even="never")),
    "TOK109": (_costs(), _costs(retirement__pays_before=True)),
    "EVL001": (_evaluated(90), _evaluated(0)),
    "EVL002": (_evaluated(90), _evaluated(0, loglik_wrong=-6.0)),
    "EVL004": (_evaluated(90), _evaluated(90, claimed=0.5)),
    "EVL010": (_benchmark(), _benchmark(benchmark=BENCHMARK.splitlines(keepends=True)[0] * 50)),
    "EVL011": (_benchmark(), _benchmark(claims={})),
    "EVL012": (
        _benchmark("bench_dspy", answered()),
        _benchmark("bench_dspy", answered(), claims={**TRUE, "dspy": 0.4}),
    ),
    "EVL013": (_benchmark("bench_openai", tuned()), _benchmark("bench_openai", tuned(asked=10))),
    "EVL014": (
        _benchmark("bench_lora", answered()),
        _benchmark("bench_lora", answered(), claims={"dspy": 0.8}),
    ),
    "INT001": (_class_of_two(1), _class_of_two(0)),
    "API001": _normally(followed().ended(1)),
    "API002": _normally(Run().upload(TRAIN + TEST).create().ended()),
    "API003": _normally(Run().upload().create().create("ftjob-two").ended()),
    "API004": _normally(followed([0.1] * 20).ended()),
    "API005": _normally(followed().look("succeeded").look("succeeded").look("succeeded").ended()),
    "API006": _normally(Run().upload().create().look("succeeded").ended()),
    "API007": _normally(followed().ask("ft:gpt:old::x", QUESTIONS[0], status=404).ended(1)),
    "API008": _normally(followed().ask(TUNED, QUESTIONS[0]).ended()),
    "API009": _normally(followed().evaluate().writes(after=0.1).ended()),
    "API011": (
        _ran("openai_rate_limited", _refused_once(429, 1.0)),
        _ran("openai_rate_limited", _refused_once(429, 0.05)),
    ),
    "API012": (
        _ran("openai_flaky", _refused_once(500, 1.0)),
        _ran("openai_flaky", _refused_once(500, 0.05)),
    ),
    "API013": (_ran("openai_job_fails", _FAILED), _ran("openai_job_fails", _IGNORED)),
    "API014": (
        _ran("openai_sunset", _no_training(True)),
        _ran("openai_sunset", _no_training(False)),
    ),
    "API015": (
        _ran("openai_timeout", _lost_answer(again=False)),
        _ran("openai_timeout", _lost_answer(again=True)),
    ),
    "API016": (_ran("openai_bad_file", _FAILED), _ran("openai_bad_file", _IGNORED)),
    "API017": (
        _ran("openai_expired_key", _dead_key(KEY_SAID)),
        _ran("openai_expired_key", _dead_key("Traceback (most recent call last)")),
    ),
    "DSP001": (
        _program(dspy_enhanced=_QUIET),
        _program(dspy_enhanced=enhanced(text=_forgets, calls=0)),
    ),
    "DSP002": (
        _program(**_QUIET_BOTH),
        _program(dspy_original=original(calls=0), dspy_enhanced=enhanced(right=3, calls=0)),
    ),
    "DSP003": (
        _program(dspy_enhanced=_ENHANCED, dspy_perturbed=perturbed(10)),
        _program(dspy_enhanced=_ENHANCED, dspy_perturbed=perturbed(0)),
    ),
    "DSP004": (
        _program(**_BOTH),
        _program(dspy_original=original(), dspy_enhanced=enhanced()),
    ),
    "DSP005": (
        _program(**_BOTH),
        _program(dspy_original=original(), dspy_enhanced=enhanced(failures=1, calls=2)),
    ),
    "DSP006": (
        _program(dspy_enhanced=_QUIET),
        _program(dspy_enhanced=enhanced(calls=0, pairs=[*PAIRS[:4], PAIRS[0]])),
    ),
    "DSP007": (
        _program(dspy_enhanced=_QUIET),
        _program(dspy_enhanced=enhanced(calls=0, pairs=[*PAIRS[:4], ("Wolves.", "pup")])),
    ),
    "DSP008": (
        _program(files=_REPORTED, dspy_enhanced=_QUIET),
        _program(files={"dspy_results.json": results(extra=None)}, dspy_enhanced=_QUIET),
    ),
    "DSP009": (
        _program(files={"dspy_program.json": '{"read": {"demos": [], "lm": null}}'}),
        _program(files={"program.pkl": "a pickle, or said to be"}),
    ),
    "DSP010": (
        _program(files=_REPORTED, **_QUIET_BOTH),
        _program(files={"dspy_results.json": results(after=0.3)}, **_QUIET_BOTH),
    ),
    "DSP020": (_metric(), _metric(exact=1.5)),
    "DSP021": (_metric(), _program(dspy_metric=scores(judged, again=0.01))),
    "DSP022": (_metric(), _metric(stuffed=1.0)),
    "DSP023": (_metric(), _metric(stuffed=0.97)),
    "DSP024": (_metric(), _metric(refusal=0.5)),
    "DSP025": (_metric(), _metric(case=0.8, punctuation=0.8)),
    "DSP026": (_metric(), _metric(duplicate=1.0)),
    "DSP027": (
        _metric(),
        _program(dspy_metric=scores(word_matching), dspy_metric_original=scores(word_matching)),
    ),
    "LAY050": (_bonus(), _bonus(files=SCRIPTS)),
    "LAY051": (_bonus(), _bonus(files=SCRIPTS)),
    "DSP030": (
        _bonus("hybrid_ok", hybrid()),
        _bonus("hybrid_ok", asks(tuned_run(), BASE, ASKED, 9).ended()),
    ),
    "DSP031": (
        _bonus("hybrid_ok", hybrid()),
        _bonus("hybrid_ok", asks(tuned_run(), TUNED, ASKED, 9, outputs=("answer",)).ended()),
    ),
    "DSP032": (
        _bonus("hybrid_ok", hybrid()),
        _bonus("hybrid_ok", hybrid(file=file_of(ASKED))),
    ),
    "DSP033": (_bonus("hybrid_ok", hybrid()), _bonus("hybrid_ok", hybrid(3, 3))),
    "API030": (
        _bonus("distill_ok", taught().ended()),
        _bonus("distill_ok", taught(replies={}).ended()),
    ),
    "API031": (
        _bonus("distill_ok", taught().ended()),
        _bonus("distill_ok", taught(base=BASE).ended()),
    ),
    "API032": (
        _bonus("distill_ok", taught().ended()),
        _bonus("distill_ok", taught(ASKED, ASKED).ended()),
    ),
    "API033": (
        _bonus("distill_ok", examined(taught())),
        _bonus("distill_ok", examined(taught(), 3, 3)),
    ),
    "API020": (_ran(), _ran(test="not a chat\n")),
    "API021": (_ran(), _ran(test=TEST[: TEST.index("element 4")].rpartition("\n")[0])),
    "API022": (_ran(), _ran(test=TEST + TRAIN)),
    "API023": (_ran(), _ran(test=_OTHER_DOMAIN)),
}


def write_all(root: Path) -> None:
    """Write every fixture below `root`, replacing those of these codes."""
    for code, writers in FIXTURES.items():
        shutil.rmtree(root / code, ignore_errors=True)
        for outcome, write in zip((PASS, FAIL), writers, strict=True):
            folder = root / code / outcome
            folder.mkdir(parents=True)
            write(folder)


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))
    write_all(TESTS / "fixtures")
