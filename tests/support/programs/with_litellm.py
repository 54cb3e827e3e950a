"""Fine-tune as litellm does it; what it saw goes to standard output as JSON.

Arguments: the training file, the model. Where the service is, the environment says.
"""

import json
import sys
import time
from pathlib import Path

import litellm

path, model = Path(sys.argv[1]), sys.argv[2]
file = litellm.create_file(file=path.open("rb"), purpose="fine-tune", custom_llm_provider="openai")
created = litellm.create_fine_tuning_job(
    model=model,
    training_file=file.id,
    hyperparameters={"n_epochs": 1, "batch_size": 8},
    suffix="lite",
    custom_llm_provider="openai",
)
polled = [created.status]
while polled[-1] not in ("succeeded", "failed", "cancelled"):
    time.sleep(0.1)
    job = litellm.retrieve_fine_tuning_job(created.id, custom_llm_provider="openai")
    polled.append(job.status)

second = litellm.create_fine_tuning_job(
    model=model, training_file=file.id, custom_llm_provider="openai"
)
cancelled = litellm.cancel_fine_tuning_job(second.id, custom_llm_provider="openai")
listed = litellm.list_fine_tuning_jobs(limit=5, custom_llm_provider="openai")
result = litellm.file_content(job.result_files[0], custom_llm_provider="openai")
answer = litellm.completion(
    model=f"openai/{job.fine_tuned_model}",
    messages=[{"role": "user", "content": "Hello"}],
    max_tokens=4,
)
seen = {
    "file": litellm.file_retrieve(file.id, custom_llm_provider="openai").filename,
    "status": job.status,
    "model": job.fine_tuned_model,
    "created": [created.id, second.id],
    "cancelled": cancelled.id,
    "listed": [entry.id for entry in listed.data],
    "result": result.text,
    "answer": answer.choices[0].message.content,
    "tokens": answer.usage.total_tokens,
}
sys.stdout.write("\n" + json.dumps(seen))
