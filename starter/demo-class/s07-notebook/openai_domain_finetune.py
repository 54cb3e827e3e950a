"""Part 2: trains, prints the events, and asks the tuned model alone."""

import json
import time

from openai import OpenAI

client = OpenAI()
with open("openai_train.jsonl", "rb") as file:
    uploaded = client.files.create(file=file, purpose="fine-tune")
job = client.fine_tuning.jobs.create(
    model="gpt-4.1-mini-2025-04-14",
    training_file=uploaded.id,
    method={"type": "supervised", "supervised": {"hyperparameters": {"n_epochs": 2}}},
)
while job.status not in ("succeeded", "failed"):
    time.sleep(15)
    job = client.fine_tuning.jobs.retrieve(job.id)
for event in client.fine_tuning.jobs.list_events(job.id, limit=5):
    print(event.message)
if job.status == "failed":
    raise SystemExit(job.error.message)
for line in open("openai_test.jsonl"):
    chat = json.loads(line)["messages"]
    reply = client.chat.completions.create(model=job.fine_tuned_model, messages=chat[:-1])
    print(chat[-2]["content"], reply.choices[0].message.content)
