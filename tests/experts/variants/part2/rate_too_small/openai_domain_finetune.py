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
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise Stop(f"{path.name} cannot be read: {error}") from error
    chats, wrong = [], []
    for number, line in enumerate(lines, start=1):
        try:
            chat = json.loads(line)["messages"]
            complete = all(message["role"] and message["content"].strip() for message in chat)
            if not complete or [message["role"] for message in chat[-2:]] != ["user", "assistant"]:
                raise ValueError("expected a question of the user, then the assistant's answer")
            chats.append(chat)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            wrong.append(f"  line {number}: {type(error).__name__}: {error}")
    if wrong or not chats:
        raise Stop("\n".join([f"{path.name} holds lines that are no chat, or none:", *wrong]))
    return chats


def check(train, test):
    """Raise Stop when there are too few examples, or when a test question was trained on."""
    if len(train) < FEWEST_EXAMPLES:
        raise Stop(f"{TRAIN.name}: {len(train)} examples; at least {FEWEST_EXAMPLES} are needed.")
    trained = {chat[-2]["content"].strip().lower() for chat in train}
    both = [chat[-2]["content"] for chat in test if chat[-2]["content"].strip().lower() in trained]
    if both:
        raise Stop(f"{TEST.name}: also in the training data, so that it tests nothing: {both[0]}")


def said(error):
    """Return the service's own words, which 2.x and 3.x of the library print differently."""
    body = getattr(error, "body", None)
    return body["message"] if isinstance(body, dict) and "message" in body else str(error)


def patiently(request, *arguments):
    """Return what a request gives that does no harm when it is made twice.

    Faults that pass are met by waiting, each time longer, up to LONGEST_WAIT. What waiting does not
    help against is raised at once: a wrong key, a bad file, no money.
    """
    wait = FIRST_WAIT
    while True:
        try:
            return request(*arguments)
        except PASSING as error:
            if wait > LONGEST_WAIT or getattr(error, "code", None) == "insufficient_quota":
                raise
            asked = ""
            if isinstance(error, openai.APIStatusError):
                asked = error.response.headers.get("retry-after", "")
            # Chance keeps a whole class from coming back in the same moment.
            seconds = max(wait, int(asked) if asked.isdigit() else 0) * random.uniform(1, 1.25)
            print(f"{type(error).__name__}; trying again in {seconds:.1f} s")
            time.sleep(seconds)
            wait *= 2


def find_job(client, key):
    """Return the job that carries this key and has not come to nothing, or None."""
    for job in client.fine_tuning.jobs.list(metadata={"run": key}):
        # Not every service that speaks this protocol heeds the filter.
        if (job.metadata or {}).get("run") == key and job.status not in ("failed", "cancelled"):
            return job
    return None


def upload(client, path):
    """Return the id of the training file at `path`, now at the service."""
    with open(path, "rb") as file:
        return client.files.create(file=file, purpose="fine-tune").id


def find_or_create_job(client, key, model, file_id):
    """Return the job of this key, and create it only if there is none.

    An answer may get lost after the service has made the job. Whoever then just asks again pays
    twice; looking first makes it safe to call this as often as needed.
    """
    return find_job(client, key) or client.fine_tuning.jobs.create(
        model=model,
        training_file=file_id,
        suffix=SUFFIX,
        seed=1,
        metadata={"run": key},
        method={
            "type": "supervised",
            "supervised": {
                "hyperparameters": {"n_epochs": 1, "learning_rate_multiplier": 0.0001}
            },
        },
    )


def follow(client, job, poll_seconds):
    """Print what the job tells until it has ended, looking less and less often; return it."""

    def events_since(last):
        newest_first = client.fine_tuning.jobs.list_events(job.id, limit=100)
        return list(takewhile(lambda event: event.id != last, newest_first))

    last, wait, deadline = None, poll_seconds, time.monotonic() + PATIENCE
    while True:
        for event in reversed(patiently(events_since, last)):
            print(f"  {event.message}")
            last = event.id
        if job.status in ENDED:
            return job
        if time.monotonic() > deadline:
            raise Stop(f"Job {job.id} is still {job.status}. Run this again to follow it.")
        time.sleep(wait)
        wait = min(wait * 1.5, SLOWEST_POLL)
        job = patiently(client.fine_tuning.jobs.retrieve, job.id)


def tuned_job(client, model, poll_seconds, path=TRAIN):
    """Return the job of this data and base when it has succeeded; create it if there is none."""
    # The same data and settings have the same key, so a job can be found again by it.
    key = hashlib.sha256(f"{model} {SUFFIX} ".encode() + path.read_bytes()).hexdigest()[:32]
    job = patiently(find_job, client, key)
    if job is None:
        file_id = patiently(upload, client, path)
        job = patiently(find_or_create_job, client, key, model, file_id)
    print(f"Job {job.id} is {job.status}")
    job = follow(client, job, poll_seconds)
    if job.status != "succeeded":
        reason = job.error.message if job.error else None
        raise Stop(f"The job is {job.status}: {reason or 'no reason was given'}")
    return job


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
    answers, read, written = [], 0, 0
    for chat in test:
        completion = patiently(
            lambda messages: client.chat.completions.create(
                model=model, messages=messages, temperature=0, max_completion_tokens=32
            ),
            chat[:-1],
        )
        answers.append(completion.choices[0].message.content or "")
        read += completion.usage.prompt_tokens
        written += completion.usage.completion_tokens
    return answers, {"input_tokens": read, "output_tokens": written}


def simulate_answers(before, test):
    """Return made-up answers of a tuned model: ASSUMED_GAIN of the wrong ones put right."""
    wrong = [at for at, chat in enumerate(test) if not score([before[at]], [chat])]
    mended = set(random.Random(1).sample(wrong, round(ASSUMED_GAIN * len(wrong))))
    return [chat[-1]["content"] if at in mended else before[at] for at, chat in enumerate(test)]


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
    try:
        job = tuned_job(client, args.model, args.poll_seconds)
    except openai.PermissionDeniedError as error:
        if error.code != "training_not_available":
            raise
        print(f"{said(error)}\nWhat follows is a SIMULATION: the score after is made up.")
        before = ask(client, args.model, test)
        after = simulate_answers(before[0], test), {}
        facts = {"simulated": True, "assumed_gain": ASSUMED_GAIN, "base": args.model}
        write_results(test, before, after, **facts, job=None, model=None)
        return
    before, after = (ask(client, model, test) for model in (args.model, job.fine_tuned_model))
    facts = {"simulated": False, "base": args.model, "job": job.id, "model": job.fine_tuned_model}
    write_results(test, before, after, **facts, trained_tokens=job.trained_tokens)


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
