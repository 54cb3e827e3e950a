# python openai_domain_finetune.py
"""Part 2: fine-tune a model on one domain with OpenAI's service, and measure what that changes.

Checks `openai_train.jsonl` and `openai_test.jsonl`, uploads the first, creates one job, follows it
to its end, asks the base and the tuned model the test questions, and writes `openai_results.json`.
Run it again after a failure: it goes on with the job that is there, and pays for no second one.
Where the service takes no jobs any longer, it writes a simulation, and says so.

Needs OPENAI_API_KEY, and OPENAI_BASE_URL for another service than OpenAI's own.
Exit code: 0 when the results are written, else 1, with the reason on standard error.
"""

import argparse
import hashlib
import json
import random
import string
import sys
import time
from itertools import takewhile
from pathlib import Path

import openai

HERE = Path(__file__).parent
TRAIN, TEST = HERE / "openai_train.jsonl", HERE / "openai_test.jsonl"
RESULTS = HERE / "openai_results.json"
BASE = "gpt-4.1-mini-2025-04-14"
SUFFIX = "chemistry"  # becomes a part of the tuned model's name
FEWEST_EXAMPLES = 10  # of a training file; the service refuses fewer
FIRST_WAIT, LONGEST_WAIT = 0.5, 16  # seconds, before a request is tried again
SLOWEST_POLL = 60  # seconds
PATIENCE = 6 * 3600  # seconds until this program stops waiting for the job
ENDED = ("succeeded", "failed", "cancelled")
# An answer that was cut short is no JSON; the library passes json's ValueError on.
PASSING = (openai.APIConnectionError, openai.RateLimitError, openai.InternalServerError, ValueError)
ASSUMED_GAIN = 0.7  # of the wrong answers; used by the simulation alone, a guess and no measurement


class Stop(Exception):
    """A reason to end the program that its user can understand."""


def parse_arguments():
    """Return the choices made on the command line."""
    parser = argparse.ArgumentParser(description="Fine-tune on one domain, and measure it.")
    parser.add_argument("--model", default=BASE, help="the base to train")
    parser.add_argument("--poll-seconds", type=float, default=2.0, help="before the first look")
    parser.add_argument("--timeout", type=float, default=30.0, help="seconds to wait for an answer")
    return parser.parse_args()


def connect(args):
    """Return the service's client."""
    # The library would repeat requests by itself, even one that costs money; `patiently` does it.
    return openai.OpenAI(timeout=args.timeout, max_retries=0)


def read_chats(path):
    """Return the conversations of a JSONL file; Stop names each line that is none."""
    raise NotImplementedError(
        "read the file; say which lines are no chat that ends with an answer"
    )


def check(train, test):
    """Raise Stop when there are too few examples, or when a test question was trained on."""
    raise NotImplementedError(
        "count the examples, and look for test questions in the training data"
    )


def said(error):
    """Return the service's own words, which 2.x and 3.x of the library print differently."""
    body = getattr(error, "body", None)
    return body["message"] if isinstance(body, dict) and "message" in body else str(error)


def patiently(request, *arguments):
    """Return what a request gives that does no harm when it is made twice.

    Faults that pass are met by waiting, each time longer, up to LONGEST_WAIT. What waiting does not
    help against is raised at once: a wrong key, a bad file, no money.
    """
    raise NotImplementedError(
        "try again after 429, 5xx, time-outs and broken answers, with back-off"
    )


def find_job(client, key):
    """Return the job that carries this key and has not come to nothing, or None."""
    raise NotImplementedError(
        "list the jobs with this key in their metadata; leave out those that failed"
    )


def upload(client, path):
    """Return the id of the training file at `path`, now at the service."""
    raise NotImplementedError("upload the file with the purpose that fine-tuning asks for")


def find_or_create_job(client, key, model, file_id):
    """Return the job of this key, and create it only if there is none.

    An answer may get lost after the service has made the job. Whoever then just asks again pays
    twice; looking first makes it safe to call this as often as needed.
    """
    raise NotImplementedError(
        "look for the job first; create one with the key in its metadata if need be"
    )


def follow(client, job, poll_seconds):
    """Print what the job tells until it has ended, looking less and less often; return it."""

    raise NotImplementedError(
        "print new events, wait longer each time, end with the job or your patience"
    )


def tuned_job(client, model, poll_seconds, path=TRAIN):
    """Return the job of this data and base when it has succeeded; create it if there is none."""
    # The same data and settings have the same key, so a job can be found again by it.
    key = hashlib.sha256(f"{model} {SUFFIX} ".encode() + path.read_bytes()).hexdigest()[:32]
    raise NotImplementedError(
        "find or create the job, follow it to its end, Stop if that is no success"
    )


def words(text):
    """Return the words of a text in small letters, without punctuation and articles."""
    text = text.lower().translate(str.maketrans("", "", string.punctuation))
    return [word for word in text.split() if word not in ("a", "an", "the")]


def score(answers, test):
    """Return the share of answers with the same words as the expected ones, 0 to 1."""
    expected = [words(chat[-1]["content"]) for chat in test]
    right = [words(answer) == known for answer, known in zip(answers, expected, strict=True)]
    return sum(right) / len(test)


def more_chats(path, train, test):
    """Return the conversations of a file that are worded like the training data, but for a name.

    Left out are the questions of the training data and of the test set. The bonus challenges use
    it to find more questions of the domain.
    """
    known = {word for chat in train for word in words(chat[-2]["content"])}
    used = {chat[-2]["content"].strip().lower() for chat in [*train, *test]}
    return [
        chat
        for chat in read_chats(path)
        if chat[-2]["content"].strip().lower() not in used
        and len(set(words(chat[-2]["content"])) - known) <= 1
    ]


def ask(client, model, test):
    """Return a model's answers to the test questions, and the tokens that it read and wrote."""
    raise NotImplementedError(
        "ask each question with patience and at temperature 0; add up the usage"
    )


def simulate_answers(before, test):
    """Return made-up answers of a tuned model: ASSUMED_GAIN of the wrong ones put right."""
    raise NotImplementedError("replace a share of the wrong answers by the expected ones")


def write_results(test, before, after, **facts):
    """Write openai_results.json from the (answers, tokens) of both models; print the scores."""
    result = {**facts, "test_questions": len(test)}
    for when, (answers, tokens) in (("before", before), ("after", after)):
        result[when] = {"exact_match": score(answers, test), **tokens}
        print(f"Exact match {when}: {result[when]['exact_match']:.0%}")
    result["answers"] = [
        {"question": chat[-2]["content"], "expected": chat[-1]["content"], "before": b, "after": a}
        for chat, b, a in zip(test, before[0], after[0], strict=True)
    ]
    RESULTS.write_text(json.dumps(result, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def run(args):
    """Go the whole way, from the files to the results."""
    train, test = read_chats(TRAIN), read_chats(TEST)
    check(train, test)
    client = connect(args)
    raise NotImplementedError("get the tuned model, ask it and the base; on 403, simulate")


def main(work=run):
    """Do the work, and say in a line why it ended where it could not go on."""
    try:
        work(parse_arguments())
    except Stop as reason:
        sys.exit(str(reason))
    except openai.APIStatusError as error:
        sys.exit(f"The service refused (HTTP {error.status_code}): {said(error)}")
    except (openai.OpenAIError, ValueError) as error:
        sys.exit(f"No usable answer, or no key: {error}")
    except KeyboardInterrupt:
        sys.exit("Stopped. A job that was created goes on; run this again to follow it.")


if __name__ == "__main__":
    main()
