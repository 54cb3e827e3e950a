"""Adapters that a run made: which one is kept, how it is read, and who is told what of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support.adapters import config, pair, random_pair, safetensors, write_adapter
from support.classes import Silent
from support.experts import lay_out
from support.paths import EXPERTS
from support.sandboxes import need_sandbox
from support.sim_apps import add_file, add_job, chat_lines

from grader.assignment.load import load_assignment
from grader.assignment.questions import make_hidden
from grader.core.errors import FileRefused, GraderFault
from grader.core.nouns import Assignment, CheckInstance, Evidence, EvidenceSpec, Outcome
from grader.course import grade
from grader.evidence.made_adapter import made_adapter, made_key, read_made
from grader.evidence.predictions import PredictionsSpec
from grader.evidence.store import Recordings, open_store
from grader.intake.find import Extent
from grader.model_service.record import Exchange
from grader.model_service.simulated import tuned_adapter
from grader.models.adapter_files import AdapterFiles
from grader.openai_sim.decoding.model_names import tuned_name
from grader.openai_sim.jobs.job_state import adapter_folder
from grader.openai_sim.store.store import SimulatorStore

PART2 = load_assignment(EXPERTS / "part2.yaml")
VARIANTS = EXPERTS / "variants" / "openai"
HIDDEN = make_hidden(PART2.topic, 7, 10)


def files_of(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def read_from(evidence: Evidence) -> AdapterFiles:
    def stored(key: str) -> Evidence | None:
        return evidence if key == evidence.key else None

    return read_made(stored, "run", PART2.base)


def test_what_a_run_made_is_read_as_it_was(tmp_path: Path) -> None:
    files = files_of(write_adapter(tmp_path / "adapter")) | {"README.md": b"not kept"}
    evidence = made_adapter("run", "ft:x", files)
    assert evidence.key == made_key("run") != made_key("another run")
    assert sorted(evidence.payload["files"]) == ["adapter_config.json", "adapter_model.safetensors"]
    (layer,) = read_from(evidence).modules.values()
    a, b = random_pair()
    assert np.array_equal(layer.a, a)
    assert np.array_equal(layer.b, b)


@pytest.mark.parametrize(
    ("code", "changes"),
    [
        ("ADP001", {"weights": b"\x80\x04 a pickle"}),
        ("ADP002", {"settings": b"no JSON"}),
        ("ADP003", {"weights": safetensors(pair(*random_pair()))[:-8]}),
        ("ADP005", {"weights": safetensors(pair(np.zeros((2, 8), "f4"), np.zeros((8, 2), "f4")))}),
        ("ADP006", {"settings": config(r=65)}),
        ("ADP007", {"weights": safetensors(pair(random_pair()[0] * np.nan, random_pair()[1]))}),
        ("ADP009", {"settings": config(use_dora=True)}),
    ],
)
def test_what_a_program_made_is_trusted_no_more_than_what_is_submitted(
    code: str, changes: Mapping[str, bytes], tmp_path: Path
) -> None:
    files = files_of(write_adapter(tmp_path / "adapter", **changes))  # type: ignore[arg-type]
    with pytest.raises(FileRefused) as refused:
        read_from(made_adapter("run", "", files))
    assert refused.value.code == code


def test_a_run_that_made_nothing_is_the_students_and_one_that_is_not_there_is_not() -> None:
    with pytest.raises(FileRefused, match="made no adapter"):
        read_from(made_adapter("run", "", {}))
    with pytest.raises(GraderFault):
        read_made(lambda key: None, "run", PART2.base)


def asked(model: str, status: int = 200, path: str = "/v1/chat/completions") -> Exchange:
    notes = {"model": model}
    return Exchange(0, 0, "POST", path, "", "", status, None, "", "", "", (), "", notes)


@pytest.fixture
def jobs(tmp_path: Path) -> tuple[SimulatorStore, list[str]]:
    """A store with the models of three jobs, by name in the order of the jobs."""
    store = SimulatorStore.open(tmp_path / "home")
    names = []
    for number in range(3):
        id = add_job(store, add_file(store, chat_lines(10)), id=f"ftjob-{number}abcdefgh")
        store.update_job(id, status="succeeded")
        job = store.get_job(id)
        assert job is not None
        names.append(tuned_name(job))
        write_adapter(store.adapters_folder / adapter_folder(names[-1]), seed=number)
    return store, names


def test_the_adapter_is_that_of_the_model_that_was_asked_most(
    jobs: tuple[SimulatorStore, list[str]],
) -> None:
    store, (a, b, c) = jobs
    for exchanges, expected in (
        ([asked(a), asked(b), asked(b), asked(c)], b),
        ([asked(b), asked(a), asked("gpt-4.1-mini")], a),  # of several the last
        ([asked(a), asked(b, status=429)], a),
        ([asked(a, path="/v1/files"), asked("ft:gone")], c),  # none: the last job's
        ([], c),
    ):
        name, files = tuned_adapter(store, exchanges)
        assert name == expected
        assert files == files_of(store.adapters_folder / adapter_folder(expected))


def test_without_a_job_that_succeeded_there_is_no_adapter(tmp_path: Path) -> None:
    assert tuned_adapter(SimulatorStore.open(tmp_path / "home"), [asked("ft:x")]) == ("", {})


def test_what_made_by_names_must_be_a_run() -> None:
    for made_by, adapter, wrong in (
        ("openai_ok", None, []),
        ("nothing", None, ["which is no run"]),
        ("tuned", None, ["which is no run"]),
        ("openai_ok", "openai_data", ["both an adapter and made_by"]),
    ):
        spec = PredictionsSpec("tuned", adapter=adapter, made_by=made_by)
        problems = spec.problems(whole(EvidenceSpec("tuned", "predictions")))
        assert len(problems) == len(wrong)
        assert all(text in problem for text, problem in zip(wrong, problems, strict=True))


def whole(tuned: EvidenceSpec) -> Assignment:
    """One run, and what it made is asked the hidden questions."""
    before = EvidenceSpec("before", "predictions")
    (run,) = (spec for spec in PART2.evidence if spec.id == "openai_ok")
    gain = CheckInstance("EVL001", bindings={"after": ("tuned",)})
    checks = [c for c in PART2.checks if c.code in ("LAY022", "API007")]
    return replace(PART2, criteria=(), checks=(*checks, gain), evidence=(before, run, tuned))


TUNED = EvidenceSpec("tuned", "predictions", ("LAY022",), {"made_by": "openai_ok"})


@pytest.mark.live(sample=1)
@pytest.mark.parametrize(("variant", "trains"), [("naive", True), ("prints_success", False)])
def test_the_model_of_a_run_is_asked_and_a_replay_needs_no_service(
    variant: str, trains: bool, tmp_path: Path
) -> None:
    data = {n: (VARIANTS / n).read_bytes() for n in ("openai_train.jsonl", "openai_test.jsonl")}
    script = {"openai_domain_finetune.py": (VARIANTS / f"{variant}.py").read_bytes()}
    home = lay_out(data | script, tmp_path / "s01")
    assignment, results = whole(TUNED), []
    recordings: Recordings | None = None
    for name in ("first", "again"):
        store = tmp_path / name / "e.sqlite"
        store.parent.mkdir()
        graded = grade.grade(
            [home],
            assignment,
            HIDDEN,
            store,
            Silent(),
            open_sandbox=need_sandbox,
            extent=Extent.ONE,
            recordings=recordings,
        )
        (result,) = graded.results
        results.append({f.code: (f.outcome, f.message, f.measures) for f in result.findings})
        keys = {("s01", id): key for id, key in result.provenance["evidence"].items()}
        recordings = Recordings(store, keys)
        if name == "first":
            with open_store(store) as opened:
                made = opened.get(made_key(keys["s01", "openai_ok"]))
            assert made is not None
            assert bool(made.payload["files"]) is trains
    outcome, message, measures = results[0]["EVL001"]
    assert ("after" in measures) is trains
    assert trains or (outcome is Outcome.FAIL and "made no adapter" in message)
    assert results[0] == results[1]


def test_behind_a_run_that_is_not_there_nothing_is_known_and_no_mark_is_lost(
    tmp_path: Path,
) -> None:
    """Without a sandbox neither the run nor what it would have made is the student's fault."""
    from grader.sandbox.choose import NoSandbox

    def none() -> object:
        raise NoSandbox("No sandbox works here.")

    data = {n: (VARIANTS / n).read_bytes() for n in ("openai_train.jsonl", "openai_test.jsonl")}
    home = lay_out(data | {"openai_domain_finetune.py": b"print()\n"}, tmp_path / "s01")
    graded = grade.grade(
        [home],
        whole(TUNED),
        HIDDEN,
        tmp_path / "e.sqlite",
        Silent(),
        open_sandbox=none,  # type: ignore[arg-type]
        extent=Extent.ONE,
    )
    found = {f.code: f for f in graded.results[0].findings}
    assert found["API007"].outcome is found["EVL001"].outcome is Outcome.ERROR
    assert "No sandbox works here" in found["EVL001"].note
