# finegrade simulate -- python dspy_enhanced.py
"""Part 1: your program and your metric, compared with the example's on the same questions.

Write three blocks. Until you do, the program and the metric are those of `dspy_example.py`.

The contract. The grader imports this file, with `dspy_example.py` and `data/` beside it, and uses:

- `build_program()`: a `dspy.Module`; calling it with `question=...` gives a prediction with
  `answer`. It asks the model that DSPy is configured with: configure nothing when imported.
- `EXTRA_EXAMPLES`: your five pairs.  `metric(example, prediction)`: a number from 0 to 1.
"""

import json
import math
import re
from collections import Counter
from pathlib import Path

import dspy
from dspy_example import (
    MODEL,
    EducationalQAModel,
    connect,
    exact_match,
    read_examples,
    simple_match,
)

HERE = Path(__file__).parent
PASSAGES = HERE / "data" / "passages.jsonl"  # one {"text": ...} a line: what may be looked up
TRAIN, TEST = HERE / "data" / "train.jsonl", HERE / "data" / "test.jsonl"
PROGRAM = HERE / "dspy_program.json"  # an optimised program, if you save one: JSON, never pickle

# Block 1. Five new pairs on a topic of your choice, each a dspy.Example with `question`, `answer`
# and, where other answers are right too, `aliases`. EXTRA_PASSAGES are texts to answer them from.
# To write: fill both lists. Seen in: DSP006 (new), DSP007 (can be scored), DSP008 (tested)
EXTRA_EXAMPLES = []
EXTRA_PASSAGES = []


# Block 2. The example's program, to be made better by ONE of these:
# - retrieval: find passages in PASSAGES and give them to the model as an input field;
# - few-shot: set `predictor.demos`, or let `dspy.BootstrapFewShot` choose them from TRAIN, save the
#   program with `program.save(PROGRAM)` and load it in `build_program`;
# - structured reasoning: a dspy.Signature with output fields for the steps, `answer` last.
# To write: change this class. Seen in: DSP002 (gain), DSP003 (asks the model), DSP004
class EnhancedQAModel(EducationalQAModel):
    """The example's program; write what you change: `__init__`, `forward`, or both."""


def build_program():
    """Return the program that the grader asks, with its saved examples if there are any."""
    program = EnhancedQAModel()
    if PROGRAM.exists():
        program.load(PROGRAM)
    return program


# Block 3. A better metric than word matching. Right answers in other words must score more than
# lists of keywords; copies, another order, "not" and "A or B" must not pay; silence is worth 0.
# To write: metric(), with the helpers it needs. Seen in: DSP020 to DSP027, a claim each
def metric(example, prediction, trace=None):
    """Return how right an answer is, from 0 (wrong, empty, a refusal) to 1."""
    return simple_match(example, prediction)


def evaluate(program, examples):
    """Return three mean scores of a program's answers: exact match, the example's, and yours."""
    run = dspy.Evaluate(devset=examples, metric=metric, num_threads=8, display_progress=False)
    answered = [(example, prediction) for example, prediction, _ in run(program).results]
    scores = {
        "exact_match": [exact_match(e, p) for e, p in answered],
        "simple_match": [simple_match(e, p) if p.get("answer") else 0 for e, p in answered],
        "metric": [metric(e, p) for e, p in answered],
    }
    return {name: round(sum(values) / len(values), 4) for name, values in scores.items()}


def main():
    """Score the example's program and yours on the same questions; write dspy_results.json."""
    dspy.configure(lm=connect())
    test = read_examples(TEST)
    results = {"model": MODEL, "test_questions": len(test), "programs": {}}
    print(f"{'program':<12}{'exact':>8}{'simple':>8}{'metric':>8}{'five new':>10}")
    for name, program in (("original", EducationalQAModel()), ("enhanced", build_program())):
        row = {"test": evaluate(program, test)}
        shown = "".join(f"{value:>8.1%}" for value in row["test"].values())
        if EXTRA_EXAMPLES:
            row["extra"] = evaluate(program, EXTRA_EXAMPLES)
            shown += f"{row['extra']['metric']:>10.1%}"
        results["programs"][name] = row
        print(f"{name:<12}{shown}")
    (HERE / "dspy_results.json").write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
