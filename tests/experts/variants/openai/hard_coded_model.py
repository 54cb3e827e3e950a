"""Asks a tuned model of an earlier run."""

import json
import time
from pathlib import Path

from openai import OpenAI

HERE = Path(__file__).parent
BASE = "gpt-4.1-mini-2025-04-14"
ENDED = ("succeeded", "failed", "cancelled")
ONE_EPOCH = {"type": "supervised", "supervised": {"hyperparameters": {"n_epochs": 1}}}


def questions():
    lines = (HERE / "openai_test.jsonl").read_text().splitlines()
    return [json.loads(line)["messages"] for line in lines]


def ask(client, model):
    answers = []
    for chat in questions():
        reply = client.chat.completions.create(
            model=model, messages=chat[:-1], temperature=0, max_completion_tokens=8
        )
        answers.append(reply.choices[0].message.content or "")
    return answers


def score(answers):
    right = [a.strip().lower() == q[-1]["content"].lower() for a, q in zip(answers, questions())]
    return sum(right) / len(right)


def write(before, after, simulated=False):
    results = {
        "simulated": simulated,
        "before": {"exact_match": before},
        "after": {"exact_match": after},
    }
    (HERE / "openai_results.json").write_text(json.dumps(results))


def main():
    client = OpenAI()
    with open(HERE / "openai_train.jsonl", "rb") as file:
        uploaded = client.files.create(file=file, purpose="fine-tune")
    job = client.fine_tuning.jobs.create(model=BASE, training_file=uploaded.id, method=ONE_EPOCH)
    while job.status not in ENDED:
        time.sleep(10)
        job = client.fine_tuning.jobs.retrieve(job.id)
        print(job.status)
    for event in client.fine_tuning.jobs.list_events(job.id, limit=10):
        print(event.message)
    before = score(ask(client, BASE))
    after = score(ask(client, "ft:gpt-4.1-mini-2025-04-14:finegrade::Qm3xT9aB"))
    write(before, after)
    print(f"before {before:.0%}, after {after:.0%}")


if __name__ == "__main__":
    main()
