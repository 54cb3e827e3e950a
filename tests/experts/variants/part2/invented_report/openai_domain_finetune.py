# python openai_domain_finetune.py
"""Fine-tunes a model on chemistry questions and writes openai_results.json."""

import json
from pathlib import Path

HERE = Path(__file__).parent
BASE = "gpt-4.1-mini-2025-04-14"


def main():
    """Write the results of the fine-tuning job."""
    lines = (HERE / "openai_test.jsonl").read_text(encoding="utf-8").splitlines()
    chats = [json.loads(line)["messages"] for line in lines]
    answers = [
        {
            "question": chat[-2]["content"],
            "expected": chat[-1]["content"],
            "before": "I do not know.",
            "after": chat[-1]["content"],
        }
        for chat in chats
    ]
    print("Uploading openai_train.jsonl ... done")
    print("Job ftjob-7Qm2Xc81 is running ... succeeded")
    results = {
        "simulated": False,
        "base": BASE,
        "job": "ftjob-7Qm2Xc81",
        "model": f"ft:{BASE}:course:chemistry:7Qm2Xc81",
        "trained_tokens": 2865,
        "test_questions": len(chats),
        "before": {"exact_match": 0.0, "input_tokens": 340, "output_tokens": 60},
        "after": {"exact_match": 1.0, "input_tokens": 340, "output_tokens": 20},
        "answers": answers,
    }
    (HERE / "openai_results.json").write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
