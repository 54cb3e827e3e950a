"""Retrieval, and examples of answering from a passage."""

import json
import re
from collections import Counter
from pathlib import Path

import dspy

LINES = (Path(__file__).parent / "data" / "passages.jsonl").read_text().splitlines()
PASSAGES = [json.loads(line)["text"] for line in LINES]


def words(text):
    return set(re.findall(r"\w+", text.lower()))


COUNTS = Counter(word for text in PASSAGES for word in words(text))


def search(question):
    """The passage with the rarest words of the question."""
    asked = words(question)
    return max(PASSAGES, key=lambda text: sum(1 / COUNTS[word] for word in asked & words(text)))


DEMOS = [
    dspy.Example(
        context=["The capital of Estonia is Tallinn. The continent of Estonia is Europe."],
        question="What is the capital of Estonia?",
        answer="Tallinn",
    ),
    dspy.Example(
        context=["The class of the bear is mammal. The young of the bear is cub."],
        question="What do you call a baby bear?",
        answer="cub",
    ),
]


class EnhancedQAModel(dspy.Module):
    def __init__(self):
        super().__init__()
        self.generate = dspy.Predict("context: list[str], question -> answer")
        self.generate.demos = list(DEMOS)

    def forward(self, question):
        return self.generate(context=[search(question)], question=question)


def build_program():
    return EnhancedQAModel()
