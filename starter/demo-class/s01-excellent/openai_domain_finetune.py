"""Part 2: train on one domain, and ask the base and the tuned model the test questions."""

import json
import time
from pathlib import Path

from openai import OpenAI

HERE = Path(__file__).parent
BASE = "gpt-4.1-mini-2025-04-14"
EPOCHS = {"type": "supervised", "supervised": {"hyperparameters": {"n_epochs": 2}}}


def score(client, model):
    """Return the share of test questions that a model answers right."""
    lines = (HERE / "openai_test.jsonl").read_text(encoding="utf-8").splitlines()
    right = 0
    for chat in (json.loads(line)["messages"] for line in lines):
        reply = client.chat.completions.create(model=model, messages=chat[:-1], temperature=0)
        right += reply.choices[0].message.content.strip().lower() == chat[-1]["content"].lower()
    return right / len(lines)


def main():
    """Upload, train, wait, compare."""
    client = OpenAI()
    with open(HERE / "openai_train.jsonl", "rb") as file:
        uploaded = client.files.create(file=file, purpose="fine-tune")
    job = client.fine_tuning.jobs.create(model=BASE, training_file=uploaded.id, method=EPOCHS)
    while job.status not in ("succeeded", "failed", "cancelled"):
        time.sleep(10)
        job = client.fine_tuning.jobs.retrieve(job.id)
        print(job.status)
    before, after = score(client, BASE), score(client, job.fine_tuned_model)
    print(f"before {before:.0%}, after {after:.0%}")
    results = {"before": {"exact_match": before}, "after": {"exact_match": after}}
    (HERE / "openai_results.json").write_text(json.dumps({"simulated": False, **results}))


if __name__ == "__main__":
    main()
