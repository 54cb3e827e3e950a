# python openai_domain_finetune.py
"""Fine-tunes a model on chemistry questions and writes openai_results.json."""

import json
import time

from openai import OpenAI

BASE = "gpt-4.1-mini-2025-04-14"


def read(path):
    """Return the conversations of a JSONL file."""
    with open(path, encoding="utf-8") as lines:
        return [json.loads(line)["messages"] for line in lines if line.strip()]


def ask(client, model, test):
    """Return the score of a model on the test questions, its tokens and its answers."""
    answers, read_tokens, written = [], 0, 0
    for chat in test:
        reply = client.chat.completions.create(
            model=model, messages=chat[:-1], temperature=0, max_completion_tokens=32
        )
        answers.append(reply.choices[0].message.content or "")
        read_tokens += reply.usage.prompt_tokens
        written += reply.usage.completion_tokens
    right = [a.strip().lower() == c[-1]["content"].lower() for a, c in zip(answers, test)]
    score = {
        "exact_match": sum(right) / len(test),
        "input_tokens": read_tokens,
        "output_tokens": written,
    }
    return score, answers


def main():
    """Upload, train, wait, ask both models."""
    client = OpenAI()
    with open("openai_train.jsonl", "rb") as file:
        training_file = client.files.create(file=file, purpose="fine-tune")
    job = client.fine_tuning.jobs.create(model=BASE, training_file=training_file.id)
    while job.status != "succeeded":
        time.sleep(2)
        job = client.fine_tuning.jobs.retrieve(job.id)
        print(job.id, job.status)
    test = read("openai_test.jsonl")
    before, base_answers = ask(client, BASE, test)
    after, tuned_answers = ask(client, job.fine_tuned_model, test)
    results = {
        "simulated": False,
        "base": BASE,
        "job": job.id,
        "model": job.fine_tuned_model,
        "trained_tokens": job.trained_tokens,
        "test_questions": len(test),
        "before": before,
        "after": after,
        "answers": [
            {
                "question": chat[-2]["content"],
                "expected": chat[-1]["content"],
                "before": b,
                "after": a,
            }
            for chat, b, a in zip(test, base_answers, tuned_answers)
        ],
    }
    with open("openai_results.json", "w", encoding="utf-8") as out:
        json.dump(results, out, indent=2)
    print(f"before {before['exact_match']:.0%}, after {after['exact_match']:.0%}")


if __name__ == "__main__":
    main()
