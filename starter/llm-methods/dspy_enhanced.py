# finegrade simulate -- python dspy_enhanced.py
"""Part 1: your program, better than the example's by retrieval, examples and reasoning steps.

The contract. The grader imports this file, with `dspy_example.py` and `data/` beside it, and uses:

- `EnhancedQAModel()`, a `dspy.Module`; calling it with `question=...` gives a prediction with
  `answer`. It asks the model that DSPy is configured with: configure nothing when imported.
- `build_program()`: the same with the examples of `dspy_program.json`, if that file is there.
- `EXTRA_EXAMPLES`: your five pairs.  `metric(example, prediction)`: a number from 0 to 1.
"""

import json
import math
import re
import unicodedata
from collections import Counter
from pathlib import Path

import dspy
from dspy_example import MODEL, EducationalQAModel, connect, read_examples, simple_match

HERE = Path(__file__).parent
PROGRAM = HERE / "dspy_program.json"  # plain JSON: never save a program as pickle
PASSAGES = HERE / "data" / "passages.jsonl"  # one {"text": ...} a line: what may be looked up

# Five new pairs on a topic of your choice, each with `question`, `answer` and, where another answer
# is also right, `aliases`. EXTRA_PASSAGES holds what must be looked up to answer them.
raise NotImplementedError("EXTRA_EXAMPLES and EXTRA_PASSAGES, lists of dspy.Example and of texts")


class Retriever:
    """Finds passages by BM25: a word counts for more the fewer passages have it."""

    def __init__(self, passages, k1=1.2, b=0.75):
        """Index the passages. `k1` damps repeated words, `b` long passages."""
        raise NotImplementedError(
            "count the words of each passage, and in how many passages a word stands"
        )

    def search(self, question, k):
        """Return at most `k` passages that fit the question, the best first."""
        raise NotImplementedError(
            "score every passage by the words it shares with the question, and sort"
        )


# What dspy.Predict asks for; nothing is needed here if "context, question -> answer" will do.
raise NotImplementedError(
    "a dspy.Signature whose output fields are the steps of the reasoning, in order"
)


class EnhancedQAModel(dspy.Module):
    """Looks passages up, reads them one by one in two steps, and checks the answer against them."""

    def __init__(self, in_steps=True, passages=3):
        """`in_steps`: find the sentence before answering. `passages`: how many are read at most."""
        super().__init__()
        raise NotImplementedError("a Retriever on PASSAGES and EXTRA_PASSAGES, and a dspy.Predict")

    def forward(self, question):
        """Return a prediction with `answer` and the `context` that it was read from."""
        raise NotImplementedError(
            "retrieve, read, and go on to the next passage if the answer is not in it"
        )


def build_program():
    """Return the enhanced program with its saved examples, if there are any."""
    program = EnhancedQAModel()
    if PROGRAM.exists():
        program.load(PROGRAM)
    return program


def optimise(train):
    """Return the program with examples that it answered right itself, and save them as JSON."""
    raise NotImplementedError(
        "compile the program with dspy.BootstrapFewShot and your metric, save it"
    )


# What the metric is made of.
raise NotImplementedError(
    "functions of yours that `metric` calls; delete this line if there are none"
)


def metric(example, prediction, trace=None):
    """Return how right an answer is, from 0 (wrong, empty, a refusal) to 1, by its best reference.

    `trace` is what DSPy's optimisers pass; the score does not depend on it.
    """
    raise NotImplementedError("the best score over `example.answer` and its `aliases`")


def evaluate(program, examples):
    """Return the mean of three scores over the same answers: exact, the example's, and yours."""
    raise NotImplementedError(
        "run dspy.Evaluate once, then score its answers in the other two ways"
    )


def main():
    """Score the example's program and yours on the same questions; write dspy_results.json."""
    dspy.configure(lm=connect())
    test = read_examples(HERE / "data" / "test.jsonl")
    train = read_examples(HERE / "data" / "train.jsonl")[:40]
    raise NotImplementedError(
        "evaluate original and enhanced on `test` and EXTRA_EXAMPLES, print, save"
    )


if __name__ == "__main__":
    main()
