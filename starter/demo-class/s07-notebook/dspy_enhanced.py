"""Part 1: looks up a country by its name, and fails where the question names none."""

import json
from pathlib import Path

import dspy
from dspy_example import simple_match as metric  # noqa: F401

EXTRA_EXAMPLES = [dspy.Example(question="What is the young of the hare called?", answer="leveret")]
PASSAGES = {}
for line in Path("data/passages.jsonl").read_text().splitlines():
    text = json.loads(line)["text"]
    if text.startswith("The capital of "):
        PASSAGES[text.removeprefix("The capital of ").split(" is ")[0]] = text


class EnhancedQAModel(dspy.Module):
    def __init__(self):
        super().__init__()
        self.answer = dspy.ChainOfThought("context, question -> answer")

    def forward(self, question):
        (context,) = [text for name, text in PASSAGES.items() if name in question]
        return self.answer(context=context, question=question)


def build_program():
    return EnhancedQAModel()
