"""The solution of Part 3 really runs: it trains, resumes, saves, measures and answers."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from support.paths import SOLUTION
from support.waiting import PATIENCE

from grader.assignment.kit import write_kit

pytestmark = pytest.mark.live(sample=1, of="the kit of part 3")

FEW = 20  # examples: two steps an epoch
QUESTION = "What is the capital of France?"


def run(folder: Path, *command: str, stdin: str = "") -> str:
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, *command],
        cwd=folder,
        env=environment,
        input=stdin,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def small_kit(folder: Path) -> Path:
    """A kit with the solution's scripts and few examples."""
    write_kit("llm-methods", "educational-qa", folder)
    for name in ("huggingface_custom_lora.py", "inference.py"):
        shutil.copy(SOLUTION / name, folder)
    for path in (folder / "data").glob("*.jsonl"):
        lines = path.read_text("utf-8").splitlines(keepends=True)
        path.write_text("".join(lines[:FEW]), "utf-8")
    return folder


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = small_kit(tmp_path_factory.mktemp("part3") / "kit")
    run(folder, "huggingface_custom_lora.py", "--epochs", "2", "--rank", "4", "--seed", "7")
    return folder


def test_the_adapter_is_safetensors_of_the_rank_that_was_asked_for(trained: Path) -> None:
    names = {path.name for path in (trained / "adapter").iterdir()}
    assert {"adapter_model.safetensors", "adapter_config.json"} <= names
    assert not any(name.endswith((".bin", ".pt", ".pth")) for name in names)
    config = json.loads((trained / "adapter" / "adapter_config.json").read_text())
    assert config["r"] == 4


def test_the_metrics_say_what_was_done(trained: Path) -> None:
    metrics = json.loads((trained / "metrics.json").read_text())
    assert metrics["base"] == "course-model"
    assert metrics["seed"] == 7
    assert metrics["train_examples"] == FEW
    assert metrics["hyperparameters"]["rank"] == 4
    assert 0 < metrics["epochs_trained"] <= 2
    assert metrics["stopped_early"] is (metrics["epochs_trained"] < 2)
    assert metrics["validation_loss"] > 0
    for when in ("before", "after"):
        assert set(metrics[when]) == {"exact_match", "token_f1"}
        assert all(0 <= score <= 1 for score in metrics[when].values())
    assert min(metrics[n] for n in ("tokens_per_second", "peak_memory_mb", "train_seconds")) > 0


def test_the_inference_script_answers_arguments_and_lines(trained: Path) -> None:
    asked = run(trained, "inference.py", QUESTION, QUESTION)
    read = run(trained, "inference.py", stdin=f"{QUESTION}\n{QUESTION}\n")
    assert asked == read
    one, other = asked.splitlines()
    assert one == other


def test_the_bonus_evaluates_the_adapter_and_keeps_other_results(trained: Path) -> None:
    for name in ("openai_domain_finetune.py", "extended_evaluation.py"):
        shutil.copy(SOLUTION / name, trained)
    few = (SOLUTION / "benchmark.jsonl").read_text().splitlines(keepends=True)[:4]
    (trained / "benchmark.jsonl").write_text("".join(few))
    earlier = {"questions": 4, "approaches": {"dspy": {"exact_match": 0.5}}}
    (trained / "benchmark_results.json").write_text(json.dumps(earlier))
    run(trained, "extended_evaluation.py", "lora")
    found = json.loads((trained / "benchmark_results.json").read_text())["approaches"]
    assert found["dspy"] == {"exact_match": 0.5}
    assert found["lora"]["exact_match"] in (0, 0.25, 0.5, 0.75, 1)


def test_without_a_service_the_comparison_asks_the_base_and_the_adapter(trained: Path) -> None:
    run(trained, "compare.py")
    found = json.loads((trained / "comparison.json").read_text())
    metrics = json.loads((trained / "metrics.json").read_text())
    assert set(found["approaches"]) == {"lora_base", "lora_adapter"}
    for name, when in (("lora_base", "before"), ("lora_adapter", "after")):
        row = found["approaches"][name]
        assert row["n"] == found["questions"] == FEW
        assert row["model"] == "course-model"
        assert row["exact_match"] == metrics[when]["exact_match"]
        assert row["token_f1"] == pytest.approx(metrics[when]["token_f1"], abs=1e-4)


def test_trials_are_recorded_once_and_leave_the_adapter_alone(trained: Path) -> None:
    script = trained / "trials.py"
    text = script.read_text()
    begin, end = text.index("SETTINGS = ["), text.index("]\n", text.index("SETTINGS = [")) + 2
    settings = [{"rank": 1, "alpha": 2, "epochs": 1}, {"rank": 2, "alpha": 2, "epochs": 1}]
    script.write_text(f"{text[:begin]}SETTINGS = {settings[:1]}\n{text[end:]}")
    before = (trained / "metrics.json").read_bytes()
    run(trained, "trials.py")
    script.write_text(f"{text[:begin]}SETTINGS = {settings}\n{text[end:]}")
    table = run(trained, "trials.py")
    assert table.count("rank") == 2
    lines = [json.loads(line) for line in (trained / "trials.jsonl").read_text().splitlines()]
    (seed,) = {line["settings"].pop("seed") for line in lines}
    assert isinstance(seed, int)
    assert [line["settings"] for line in lines] == settings
    assert all(line["validation_loss"] > 0 and line["seconds"] > 0 for line in lines)
    assert (trained / "metrics.json").read_bytes() == before


def test_training_goes_on_from_its_last_checkpoint(trained: Path) -> None:
    def last() -> int:
        return max(int(p.name.split("-")[1]) for p in (trained / "checkpoints").iterdir())

    before = last()
    run(trained, "huggingface_custom_lora.py", "--epochs", "3", "--rank", "4", "--seed", "7",
        "--resume")  # fmt: skip
    assert last() == before // 2 * 3
    assert len(list((trained / "checkpoints").iterdir())) <= 2


def test_it_trains_on_a_base_in_four_bits(tmp_path: Path) -> None:
    folder = small_kit(tmp_path / "kit")
    run(folder, "huggingface_custom_lora.py", "--epochs", "1", "--load-in-4bit")
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["hyperparameters"]["load_in_4bit"] is True
    assert (folder / "adapter" / "adapter_model.safetensors").is_file()


def test_the_example_runs_as_it_is_handed_out(tmp_path: Path) -> None:
    folder = small_kit(tmp_path / "kit")
    assert run(folder, "huggingface_lora.py").count("answered:") == 3
