# python openai_finetune.py
"""The example: what a fine-tuning job at OpenAI needs, and how it is started.

It writes a small training file from the questions in `data/` and tells what training on it means.
The fine-tuning section below is commented out, so that nothing is sent and nothing is paid.
Your own version goes into `openai_domain_finetune.py`.
"""

import json
from pathlib import Path

HERE = Path(__file__).parent
TRAIN = HERE / "openai_example.jsonl"
MODEL = "gpt-4.1-mini-2025-04-14"
EXAMPLES = 12  # the service wants at least 10
EPOCHS = 8  # "auto" would take as many for so few examples
POLL_SECONDS = 10

# One line a conversation: the instruction, a question, and the answer that the model shall learn.
lines = (HERE / "data" / "train.jsonl").read_text(encoding="utf-8").splitlines()[:EXAMPLES]
TRAIN.write_text("\n".join(lines) + "\n", encoding="utf-8")

chats = [json.loads(line)["messages"] for line in lines]
for message in chats[0]:
    print(f"{message['role']:>9}: {message['content']}")
characters = sum(len(message["content"]) for chat in chats for message in chat)
print(f"{TRAIN.name}: {len(chats)} conversations, about {characters // 4} tokens.")
print(f"A job would read them {EPOCHS} times: about {characters // 4 * EPOCHS} tokens to pay for.")
print(f"It would start from {MODEL}. Nothing was sent: the fine-tuning section is commented out.")

# --- The fine-tuning section -----------------------------------------------------------------
# Take the "# " away from the lines below, then run it against the service on your own machine:
#     finegrade simulate -- python openai_finetune.py
# At OpenAI itself the same lines cost money.
#
# It works when all goes well. What happens here when the job fails? When the service answers with
# an error? When the answer to create() gets lost, and you run the script again?
# --- begin
# import time
#
# from openai import OpenAI
#
# client = OpenAI()  # reads OPENAI_API_KEY and OPENAI_BASE_URL
# with open(TRAIN, "rb") as file:
#     training_file = client.files.create(file=file, purpose="fine-tune")
# job = client.fine_tuning.jobs.create(
#     model=MODEL,
#     training_file=training_file.id,
#     method={"type": "supervised", "supervised": {"hyperparameters": {"n_epochs": EPOCHS}}},
# )
# while job.status != "succeeded":
#     time.sleep(POLL_SECONDS)
#     job = client.fine_tuning.jobs.retrieve(job.id)
#     print(job.id, job.status)
# answer = client.chat.completions.create(model=job.fine_tuned_model, messages=chats[0][:-1])
# print(chats[0][-2]["content"], answer.choices[0].message.content)
# --- end
