"""Fine-tune as a course does it, with any openai-python; what it saw goes to standard output.

Argument: a JSON file with the `task`. Where the service is, the environment says. Answers are
held to the client's own types as they come in.
"""

import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import openai

task = json.loads(Path(sys.argv[1]).read_text())
client = openai.OpenAI(max_retries=0, _strict_response_validation=True)
jobs = client.fine_tuning.jobs


def uploaded(path):
    with open(path, "rb") as file:
        made = client.files.create(file=file, purpose="fine-tune")
    return client.files.wait_for_processing(made.id, poll_interval=0.05)


def asked(model, messages, **options):
    return client.chat.completions.create(
        model=model, messages=messages, temperature=0, max_completion_tokens=32, **options
    )


def answers(model):
    with ThreadPoolExecutor(8) as pool:
        said = pool.map(lambda messages: asked(model, messages), task["questions"])
    return [one.choices[0].message.content for one in said]


def refused(call):
    try:
        call()
    except openai.APIStatusError as error:
        return {"name": type(error).__name__, "status": error.status_code, "code": error.code}


training_file, validation_file = uploaded(task["train"]), uploaded(task["validation"])
created = jobs.create(
    model=task["model"],
    training_file=training_file.id,
    validation_file=validation_file.id,
    **task["options"],
)
polled = [created]
while not polled[-1].finished_at:
    time.sleep(0.2)
    polled.append(jobs.retrieve(created.id))
job = polled[-1]

pages = list(jobs.list_events(job.id, limit=task["page"]).iter_pages())
events = list(jobs.list_events(job.id, limit=task["page"]))
checkpoints = list(jobs.checkpoints.list(job.id))
(result,) = job.result_files
first = task["questions"][0]
pieces = list(
    asked(job.fine_tuned_model, first, stream=True, stream_options={"include_usage": True})
)
last = asked(checkpoints[-1].fine_tuned_model_checkpoint, first)
seen = {
    "version": openai.__version__,
    "upload": training_file.to_dict(),
    "created": created.to_dict(),
    "polled": list(dict.fromkeys(one.status for one in polled)),
    "job": job.to_dict(),
    "newest_job": next(iter(jobs.list(limit=1))).id,
    "pages": [len(page.data) for page in pages],
    "events": [event.to_dict() for event in events],
    "checkpoints": [checkpoint.to_dict() for checkpoint in checkpoints],
    "checkpoint_says": last.to_dict(),
    "result_file": client.files.retrieve(result).to_dict(),
    "result": client.files.content(result).text,
    "models": [model.id for model in client.models.list()],
    "base_answers": answers(task["model"]),
    "tuned_answers": answers(job.fine_tuned_model),
    "streamed": [piece.choices[0].delta.content or "" if piece.choices else "" for piece in pieces],
    "streamed_usage": pieces[-1].usage.to_dict(),
    "refused": {
        "no such job": refused(lambda: jobs.retrieve("ftjob-none")),
        "no such model": refused(lambda: asked("gpt-none", first)),
        "wrong key": refused(lambda: client.with_options(api_key="sk-wrong").models.list()),
        "bad request": refused(lambda: jobs.create(model=task["model"], training_file="file-no")),
    },
}
sys.stdout.write(json.dumps(seen))
