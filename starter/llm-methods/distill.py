# finegrade simulate -- python distill.py
"""Bonus: a tuned model teaches a smaller one.

The teacher is the model of Part 2, trained on `openai_train.jsonl`: the same job, if it is there.
It answers questions that it was not trained on; question and reply become `distill_train.jsonl`,
on which a model with a lower price is trained. That student and its base answer
`openai_test.jsonl`. No answer but the teacher's is used.

On your machine all names are the same tiny model: "smaller" is its name and its price. On a real
service the same script makes a model that is really smaller.
"""

import json

from openai_domain_finetune import (
    HERE,
    TEST,
    TRAIN,
    ask,
    check,
    connect,
    main,
    more_chats,
    read_chats,
    score,
    tuned_job,
)

STUDENT = "gpt-4o-mini-2024-07-18"  # `finegrade cost`: 3 USD for a million tokens; the teacher's, 5
MOST = 40  # questions for the teacher: each one is paid for
LESSONS = HERE / "distill_train.jsonl"
RESULTS = HERE / "distill_results.json"


def new_questions(train, test):
    """Return conversations that end with a question which is neither in `train` nor in `test`."""
    raise SystemExit(
        "distill.py, still to write: new_questions(): of your domain, no answers. Seen in: API030, "
        "API032"
    )


def teach(client, teacher, questions):
    """Write the teacher's replies to the questions into LESSONS, as a training file."""
    raise SystemExit(
        "distill.py, still to write: teach(): write question and reply as JSON lines. Seen in: "
        "API030"
    )


def run(args):
    """Train the teacher, let it write the lessons, train the student, and measure all three."""
    train, test = read_chats(TRAIN), read_chats(TEST)
    check(train, test)
    client = connect(args)
    raise SystemExit(
        "distill.py, still to write: run(): tune the teacher, teach, tune the student. Seen in: "
        "API031, API033"
    )
    results = {}
    for who, model in models.items():
        answers, tokens = ask(client, model, test)
        results[who] = {"model": model, "exact_match": score(answers, test), **tokens}
        print(f"Exact match of the {who}: {results[who]['exact_match']:.0%}")
    RESULTS.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(run)
