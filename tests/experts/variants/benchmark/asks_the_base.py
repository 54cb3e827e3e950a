"""Trains a model and then asks the base that it was trained from."""

import openai
import openai_domain_finetune as finetune

client = openai.OpenAI()
job = finetune.tuned_job(client, finetune.BASE, poll_seconds=2.0)
chats = finetune.read_chats(finetune.HERE / "benchmark.jsonl")
answers, _ = finetune.ask(client, job.model, chats)
print(f"openai: {finetune.score(answers, chats):.0%}")
