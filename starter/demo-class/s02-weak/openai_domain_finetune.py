"""Part 2: creates the job twice, waits for one of them, and measures nothing."""

import time

from openai import OpenAI

client = OpenAI()
with open("openai_train.jsonl", "rb") as file:
    uploaded = client.files.create(file=file, purpose="fine-tune")
for _ in range(2):
    job = client.fine_tuning.jobs.create(
        model="gpt-4.1-mini-2025-04-14",
        training_file=uploaded.id,
        method={"type": "supervised", "supervised": {"hyperparameters": {"n_epochs": 2}}},
    )
while job.status not in ("succeeded", "failed"):
    time.sleep(10)
    job = client.fine_tuning.jobs.retrieve(job.id)
print("Done:", job.fine_tuned_model)
