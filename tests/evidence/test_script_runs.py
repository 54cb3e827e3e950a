"""What the runs of Part 3's scripts find beside them, and what decides about them."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from support.adapters import write_adapter
from support.classes import Silent
from support.sandboxes import need_sandbox
from support.script_runs import ANSWER, TRAIN

from grader.assignment.load import load_assignment
from grader.assignment.questions import make_hidden
from grader.core.nouns import Assignment, Evidence, EvidenceSpec
from grader.evidence.kind import AdapterRef, Candidate, Grading, PlannedRequest
from grader.evidence.program_runs import ServedRun
from grader.evidence.script_runner import ScriptRunner
from grader.evidence.script_runs import INFERENCE_KIND, TRAINING_KIND, asked_questions
from grader.intake.find import submission_at
from grader.intake.submission import take_in
from grader.models.adapter_files import AdapterFiles
from grader.sandbox.api import RunSpec
from grader.sandbox.unsandboxed import Unsandboxed

WHOLE = load_assignment("llm-methods")
HIDDEN = make_hidden(WHOLE.topic, 3, 40)
BASE = ("config.json", "model.safetensors", "tokenizer.json")


def _never_read() -> AdapterFiles:
    raise AssertionError("a request runs nothing")


def submitted(home: Path, files: Mapping[str, str] | None = None) -> Path:
    """A submission with an adapter, both scripts and these files, by path."""
    write_adapter(home / "adapter")
    for path, text in {TRAIN: "x = 1\n", ANSWER: "", **(files or {})}.items():
        place = home / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
    return home


def requests(
    home: Path,
    kind: str = "training_run",
    change: Callable[[EvidenceSpec], EvidenceSpec] = lambda spec: spec,
    assignment: Assignment = WHOLE,
) -> list[PlannedRequest[ServedRun]]:
    """What is requested of this kind for the submission."""
    specs = tuple(change(spec) for spec in assignment.evidence if spec.kind == kind)
    made = tuple(spec for spec in assignment.evidence if "made_by" in spec.settings)
    grading = Grading(
        replace(assignment, evidence=(*specs, *made)),
        HIDDEN,
        "cpu",
        home.parent / "trainings",
        open_sandbox=Unsandboxed,
    )
    submission = take_in(submission_at(home), home.parent / "work", assignment.deliverables)
    adapters = {"adapter": AdapterRef("ab12", _never_read)}
    candidate = Candidate(submission, lambda codes: True, adapters)
    plan = (TRAINING_KIND if kind == "training_run" else INFERENCE_KIND).plan(grading, candidate)
    assert not plan.missing
    return plan.requests


def requested(
    home: Path,
    kind: str = "training_run",
    change: Callable[[EvidenceSpec], EvidenceSpec] = lambda spec: spec,
    assignment: Assignment = WHOLE,
) -> tuple[str, RunSpec] | None:
    """The key and the run of the only request; None where there is none."""
    for request in requests(home, kind, change, assignment):
        with request.opened() as work:
            return request.key, work.spec
    return None


def seen(run: RunSpec) -> set[str]:
    return {*run.files, *run.inputs}


def training(home: Path) -> RunSpec:
    found = requested(home)
    assert found is not None
    return found[1]


def test_a_training_finds_the_base_the_data_and_the_kits_helper(tmp_path: Path) -> None:
    run = training(submitted(tmp_path / "s01"))
    assert seen(run) >= {TRAIN, "common.py", "data/train.jsonl", "data/test.jsonl"}
    assert seen(run) >= {f"course-model/{name}" for name in BASE}
    assert run.limits.cpu_seconds == 120
    assert run.watched


def test_a_training_never_sees_the_adapter_that_lies_beside_it(tmp_path: Path) -> None:
    home = submitted(
        tmp_path / "s01",
        {
            "copy/adapter_model.safetensors": "w",
            "ready.bin": "w",
            "mine.pt": "w",
            "adapter/more.json": "{}",
            "checkpoints/checkpoint-9/trainer_state.json": "{}",
            "metrics.json": "{}",
        },
    )
    own = {path for path in seen(training(home)) if not path.startswith(("data/", "course-model/"))}
    assert own == {TRAIN, "common.py"}


def test_a_training_sees_its_own_modules_and_data(tmp_path: Path) -> None:
    home = submitted(
        tmp_path / "s01",
        {
            TRAIN: "from helper import x\nimport tools.loss\n",
            "helper.py": "import importlib\nimportlib.import_module('deep')\n",
            "deep.py": "",
            "tools/loss.py": "",
            "unused.py": "",
            "extra.jsonl": "{}\n",
            "reflection.md": "text",
            "openai_train.jsonl": "{}\n",
        },
    )
    found = seen(training(home))
    assert found >= {"helper.py", "deep.py", "tools/loss.py", "extra.jsonl"}
    assert found.isdisjoint({"unused.py", "reflection.md", "openai_train.jsonl", ANSWER})


def test_a_students_own_helper_is_used_and_the_kits_data(tmp_path: Path) -> None:
    home = submitted(
        tmp_path / "s01",
        {
            "common.py": "mine = 1\n",
            "data/train.jsonl": "mine\n",
            "course-model/config.json": "mine",
            "course-model/more.json": "mine",
        },
    )
    run = training(home)
    assert run.files["common.py"] == home / "common.py"
    assert run.inputs["data/train.jsonl"] != b"mine\n"
    assert run.files["course-model/config.json"].read_text() != "mine"
    assert "course-model/more.json" not in run.files


def test_students_with_equal_scripts_share_a_training(tmp_path: Path) -> None:
    one = requested(submitted(tmp_path / "s01", {"reflection.md": "one"}))
    other = requested(submitted(tmp_path / "s02", {"reflection.md": "other", "unused.py": "y"}))
    another = requested(submitted(tmp_path / "s03", {TRAIN: "x = 2\n"}))
    assert one is not None
    assert other is not None
    assert another is not None
    assert one[0] == other[0] != another[0]


def test_a_shared_training_is_on_nobodys_budget(tmp_path: Path) -> None:
    assert not requests(submitted(tmp_path / "s01"))[0].own
    assert requests(submitted(tmp_path / "s02"), "inference_run")[0].own


def test_the_assignment_sets_the_processor_time_or_leaves_the_run_out(tmp_path: Path) -> None:
    home = submitted(tmp_path / "s01")

    def longer(spec: EvidenceSpec) -> EvidenceSpec:
        return replace(spec, settings={**spec.settings, "processor_seconds": 500})

    found = requested(home, change=longer)
    assert found is not None
    assert found[1].limits.cpu_seconds == 500
    without = tuple(spec for spec in WHOLE.evidence if spec.kind != "training_run")
    assert requested(home, assignment=replace(WHOLE, evidence=without)) is None


def test_inference_finds_the_base_and_the_submitted_adapter(tmp_path: Path) -> None:
    found = requested(submitted(tmp_path / "s01"), "inference_run")
    assert found is not None
    run = found[1]
    assert seen(run) >= {ANSWER, "adapter/adapter_model.safetensors", "data/train.jsonl"}
    assert seen(run) >= {f"course-model/{name}" for name in BASE}
    assert list(run.arguments) == asked_questions(HIDDEN, 12)


def test_inference_finds_an_adapter_beside_itself_wherever_it_was_submitted(tmp_path: Path) -> None:
    home = submitted(tmp_path / "s01")
    (home / "part 3").mkdir()
    (home / "adapter").rename(home / "part 3" / "adapter")
    found = requested(home, "inference_run")
    assert found is not None
    assert "adapter/adapter_model.safetensors" in found[1].files


def test_questions_are_spread_over_the_set() -> None:
    texts = [question.messages[-1][1] for question in HIDDEN.questions]
    assert asked_questions(HIDDEN, 4) == [texts[0], texts[10], texts[20], texts[30]]
    assert asked_questions(HIDDEN, 1000) == texts


def trial(settings: dict[str, object]) -> str:
    return json.dumps({"settings": settings, "validation_loss": 0.5, "seconds": 3}) + "\n"


def test_one_of_the_trials_is_run_again(tmp_path: Path) -> None:
    lines = "".join(trial({"rank": rank, "batch_size": 16}) for rank in (2, 4, 8, 16))
    home = submitted(tmp_path / "s01", {"trials.jsonl": lines})

    def again(spec: EvidenceSpec) -> EvidenceSpec:
        return replace(spec, settings={**spec.settings, "trial": "trials"})

    found = requested(home, change=again)
    assert found is not None
    assert found[1].arguments[0] == "--rank"
    assert found[1].arguments[2:] == ("--batch-size", "16")
    (home / "trials.jsonl").write_text("no trials\n")
    assert requested(home, change=again) is None


@pytest.mark.live(sample=1)
def test_a_run_keeps_what_it_made_and_what_it_opened(tmp_path: Path) -> None:
    script = """
        import json, os, sys
        from pathlib import Path
        Path("adapter").mkdir()
        Path("adapter/adapter_config.json").write_text("{}")
        Path("adapter/adapter_model.safetensors").write_bytes(b"w" * 3000)
        Path("metrics.json").write_text(json.dumps(os.environ["HF_HUB_OFFLINE"]))
        open("data/train.jsonl").read()
        print(sorted(os.listdir(".")))
    """
    home = submitted(tmp_path / "s01", {TRAIN: textwrap.dedent(script)})
    submission = take_in(submission_at(home), tmp_path / "work", WHOLE.deliverables)
    sandbox = need_sandbox()
    grading = Grading(WHOLE, HIDDEN, "cpu", tmp_path / "t", open_sandbox=lambda: sandbox)
    plan = TRAINING_KIND.plan(grading, Candidate(submission, lambda codes: True))
    put: list[Evidence] = []
    runner = ScriptRunner(sandbox, None)
    (request,) = plan.requests
    assert runner.produce({request.key: request}, put.append, Silent()) == {}
    made, run = put
    assert made.kind == "made_adapter"
    assert set(made.payload["files"]) == {"adapter_config.json", "adapter_model.safetensors"}
    assert run.payload["verdict"] == "ok", run.payload["stderr"]
    assert set(run.payload["files"]) == {"metrics.json"}
    assert run.payload["made_bytes"]["adapter/adapter_model.safetensors"] == 3000
    assert run.payload["opened"] == {TRAIN: 1, "data/train.jsonl": 1}
    assert "'adapter'" in run.payload["stdout"]
    assert run.cost["peak_memory_bytes"] > 0


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_the_base_beside_the_scripts_is_the_one_that_the_student_chose(tmp_path: Path) -> None:
    from support.bases import adapted, saved

    base = saved("qwen2", tmp_path / "models" / "small-qwen2")
    adapter = replace(WHOLE.deliverable("adapter"), other_bases=("small",))
    chosen = tuple(adapter if one.id == "adapter" else one for one in WHOLE.deliverables)
    assignment = replace(WHOLE, bases={"small": base}, deliverables=chosen)
    home = submitted(tmp_path / "s01")
    for kind in ("training_run", "inference_run"):
        found = requested(home, kind, assignment=assignment)
        assert found is not None
        assert "course-model/model.safetensors" in found[1].files
    adapted(base, home / "adapter")
    for kind in ("training_run", "inference_run"):
        found = requested(home, kind, assignment=assignment)
        assert found is not None
        assert "small-qwen2/model.safetensors" in found[1].files
        assert "course-model/model.safetensors" not in found[1].files
