# finegrade simulate -- python compare.py
"""Ask everything that you have made the same questions: the public test set, data/test.jsonl.

Parts 1 and 2 are asked through the service (OPENAI_BASE_URL), Part 3 on this machine. What is not
there is skipped, with the reason. Writes `comparison.json`, and a table for your analysis into
`comparison_table.md`. The grader asks its own questions and holds these numbers against them.
"""

import importlib
import json
import math
import os
import string
import sys
import time
from collections import Counter
from pathlib import Path

HERE = Path(__file__).parent
TEST = HERE / "data" / "test.jsonl"
RESULTS, TABLE = HERE / "comparison.json", HERE / "comparison_table.md"
TITLES = {
    "dspy_original": "Example's DSPy program",
    "dspy_enhanced": "Your DSPy program",
    "openai_base": "Service: base",
    "openai_tuned": "Service: tuned model",
    "lora_base": "LoRA: base",
    "lora_adapter": "LoRA: base with adapter",
}


class Skip(Exception):
    """Why an approach cannot be asked."""


def words(text):
    """Return the words of a text in small letters, without punctuation and articles."""
    text = text.lower().translate(str.maketrans("", "", string.punctuation))
    return [word for word in text.split() if word not in ("a", "an", "the")]


def token_f1(answer, expected):
    """Return the harmonic mean of precision and recall over the words of both, 0 to 1."""
    got, wanted = Counter(words(answer)), Counter(words(expected))
    if not got or not wanted:
        return float(got == wanted)
    return 2 * (got & wanted).total() / (got.total() + wanted.total())


def interval(right, n):
    """Return Wilson's 95 % interval for `right` of `n`, as shares from 0 to 1."""
    z = 1.96
    centre, half = right + z * z / 2, z * math.sqrt(right * (n - right) / n + z * z / 4)
    return (centre - half) / (n + z * z), (centre + half) / (n + z * z)


def load(name, as_name=None):
    """Return a module of yours, from its script or its notebook, run under `as_name`."""
    sys.path.insert(0, str(HERE))
    book = HERE / f"{name}.ipynb"
    if (HERE / f"{name}.py").exists() or not book.exists():
        return importlib.import_module(name)
    module = type(sys)(as_name or name)
    module.__file__ = str(book)
    for cell in json.loads(book.read_text("utf-8"))["cells"]:
        if cell["cell_type"] == "code":
            lines = "".join(cell["source"]).splitlines()
            code = "\n".join(line for line in lines if line.lstrip()[:1] not in ("%", "!"))
            exec(compile(code, book.name, "exec"), module.__dict__)
    return module


def need_service():
    """Raise Skip where the environment names no service."""
    if "OPENAI_API_KEY" not in os.environ:
        raise Skip("no service; put `finegrade simulate --` before the command")


def dspy_program(name):
    """Return what answers a chat with the program of Part 1, and the model's name."""
    need_service()
    import dspy

    example = load("dspy_example")
    enhanced = name == "dspy_enhanced"
    program = load("dspy_enhanced").build_program() if enhanced else example.EducationalQAModel()
    dspy.configure(lm=example.connect())
    return lambda chat: program(question=chat[-2]["content"]).answer or "", example.MODEL


def service_model(name):
    """Return what answers a chat with a model of Part 2, and the model's name."""
    need_service()
    import openai

    results = HERE / "openai_results.json"
    if not results.exists():
        raise Skip("no openai_results.json; run openai_domain_finetune.py first")
    found = json.loads(results.read_text("utf-8"))
    model = found["base" if name == "openai_base" else "model"]
    if not model:
        raise Skip("openai_results.json is a simulation: there is no tuned model to ask")
    client = openai.OpenAI(timeout=60.0, max_retries=5)

    def answer(chat):
        completion = client.chat.completions.create(
            model=model, messages=chat[:-1], temperature=0, max_completion_tokens=32
        )
        return completion.choices[0].message.content or ""

    return answer, model


def local_model(name):
    """Return what answers a chat with the base of Part 3 or its adapter, and the base's name."""
    adapter = HERE / "adapter"
    if not adapter.exists():
        raise Skip("no adapter/; run huggingface_custom_lora.py first")
    from peft import PeftModel

    from common import load_base, prompt_of

    config = json.loads((adapter / "adapter_config.json").read_text("utf-8"))
    base = config["base_model_name_or_path"]
    if (HERE / Path(base).name).is_dir():
        base = str(HERE / Path(base).name)  # trained in another folder
    model, tokenizer = load_base(base)
    if name == "lora_adapter":
        model = PeftModel.from_pretrained(model, adapter)
    model.eval()

    def answer(chat):
        prompt = prompt_of(tokenizer, chat)
        inputs = tokenizer(prompt, add_special_tokens=False, return_tensors="pt").to(model.device)
        output = model.generate(**inputs, max_new_tokens=16, do_sample=False)
        return tokenizer.decode(output[0, inputs.input_ids.shape[1] :], skip_special_tokens=True)

    return answer, Path(base).name


ASK = {"dspy": dspy_program, "openai": service_model, "lora": local_model}


def measure(name, chats):
    """Return the scores of one approach on all questions."""
    answer, model = ASK[name.partition("_")[0]](name)
    started = told = time.perf_counter()
    f1, right = 0.0, 0
    for number, chat in enumerate(chats, start=1):
        given, expected = answer(chat), chat[-1]["content"]
        right += words(given) == words(expected)
        f1 += token_f1(given, expected)
        now = time.perf_counter()
        left = (now - started) / number * (len(chats) - number)
        line = f"{name}: {number} of {len(chats)}, {left:3.0f} s left"
        if sys.stderr.isatty():
            print(f"\r{line}", end="", file=sys.stderr)
        elif now - told > 10 or number == len(chats):  # in a log, a line every ten seconds
            print(line, file=sys.stderr)
            told = now
    if sys.stderr.isatty():
        print(file=sys.stderr)
    low, high = interval(right, len(chats))
    scores = {"exact_match": right / len(chats), "low95": low, "high95": high}
    scores["token_f1"] = f1 / len(chats)
    rounded = {measure: round(value, 4) for measure, value in scores.items()}
    return {"model": model, "n": len(chats), **rounded}


def main():
    """Ask every approach every question; write the results and the table."""
    lines = TEST.read_text("utf-8").splitlines()
    chats = [json.loads(line)["messages"] for line in lines]
    approaches, skipped = {}, {}
    for name in TITLES:
        try:
            approaches[name] = measure(name, chats)
        except Skip as reason:
            skipped[name] = str(reason)
        except SystemExit as error:
            skipped[name] = str(error)
        except Exception as error:  # your code, unfinished: the others can still be asked
            skipped[name] = f"{type(error).__name__}: {error}"
        if name in skipped:
            print(f"{name}: skipped: {skipped[name]}", file=sys.stderr)
    if not approaches:
        sys.exit("There is nothing to compare yet.")
    results = {
        "schema": "finegrade/comparison/v1",
        "questions": len(chats),
        "approaches": approaches,
        "skipped": skipped,
    }
    RESULTS.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    table = ["| Approach | Exact match | 95 % interval | Token F1 |", "|---|---|---|---|"]
    for name, row in approaches.items():
        between = f"{row['low95']:.1%} to {row['high95']:.1%}"
        table.append(
            f"| {TITLES[name]} | {row['exact_match']:.1%} | {between} | {row['token_f1']:.1%} |"
        )
    TABLE.write_text("\n".join(table) + "\n", encoding="utf-8")
    print("\n".join(table))


if __name__ == "__main__":
    main()
