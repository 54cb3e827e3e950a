# python trials.py
"""Part 3: train with several settings, and keep a record of what came out in `trials.jsonl`.

Each trial runs `huggingface_custom_lora.py` with other options and takes the validation loss from
the `metrics.json` that it writes. A line of the record holds the options with the seed
(`settings`), the lowest `validation_loss` and the `seconds` that the run took. Trials in the record
are not run again, so change SETTINGS and run it once more. The grader may run one of them again.
"""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).parent
RECORD = HERE / "trials.jsonl"
NAME = "huggingface_custom_lora"
# Options of huggingface_custom_lora.py, without their dashes; change them as you like.
SETTINGS = [
    {"rank": 1, "alpha": 2, "lr": 5e-3},
    {"rank": 8, "alpha": 16, "lr": 5e-3},
    {"rank": 8, "alpha": 16, "lr": 2e-4},
    {"rank": 8, "alpha": 16, "lr": 5e-3, "targets": "q_proj,v_proj"},
]


def recorded():
    """Return the trials of earlier runs."""
    if not RECORD.exists():
        return []
    return [json.loads(line) for line in RECORD.read_text("utf-8").splitlines() if line.strip()]


def run(settings):
    """Return the record of one trial; SystemExit where the script fails."""
    options = [word for name, value in settings.items() for word in (f"--{name}", str(value))]
    command = [f"{NAME}.py"]
    if not (HERE / command[0]).exists():  # a notebook, then
        command = ["-c", f"import compare; compare.load('{NAME}', '__main__')"]
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as out:
        done = subprocess.run(
            [sys.executable, *command, *options, "--out", out],
            cwd=HERE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
        if done.returncode:
            last = (done.stderr.strip().splitlines() or ["it says nothing"])[-1]
            raise SystemExit(f"{NAME} {' '.join(options)} ended early: {last}")
        metrics = json.loads((Path(out) / "metrics.json").read_text("utf-8"))
    seconds = round(time.perf_counter() - started, 1)
    loss = round(metrics["validation_loss"], 4)
    # With the seed the same trial can be run again, also by somebody else.
    settings = {**settings, "seed": metrics["seed"]}
    return {"settings": settings, "validation_loss": loss, "seconds": seconds}


def main():
    """Run the trials that are not in the record, and print all of them, the best first."""
    trials = recorded()
    known = [trial["settings"].items() for trial in trials]
    new = [one for one in SETTINGS if not any(one.items() <= trial for trial in known)]
    for number, settings in enumerate(new, start=1):
        spent = [trial["seconds"] for trial in trials]
        seconds = sum(spent) / len(spent) * (len(new) - number + 1) if spent else 0
        left = f", about {seconds:.0f} s left" if spent else ""
        print(f"Trial {number} of {len(new)}: {settings}{left}", file=sys.stderr)
        trials.append(run(settings))
        with RECORD.open("a", encoding="utf-8") as file:
            file.write(json.dumps(trials[-1]) + "\n")
    print("| Settings | Validation loss | Seconds |\n|---|---|---|")
    for trial in sorted(trials, key=lambda one: one["validation_loss"]):
        settings = ", ".join(f"{name} {value}" for name, value in trial["settings"].items())
        print(f"| {settings} | {trial['validation_loss']} | {trial['seconds']} |")


if __name__ == "__main__":
    main()
