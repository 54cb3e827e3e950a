"""Part 1: the example's program with a step before the answer, and nothing to look up."""

import dspy
from dspy_example import simple_match as metric  # noqa: F401

EXTRA_EXAMPLES = [dspy.Example(question="What is the young of the hare called?", answer="leveret")]


class Steps(dspy.Signature):
    """Answer the question: first say what is asked for, then answer."""

    question: str = dspy.InputField()
    asked_for: str = dspy.OutputField(desc="step 1: what kind of thing is asked for")
    answer: str = dspy.OutputField(desc="step 2: the shortest answer")


class EnhancedQAModel(dspy.Module):
    def __init__(self):
        super().__init__()
        self.answer = dspy.Predict(Steps)

    def forward(self, question):
        return self.answer(question=question)


def build_program():
    return EnhancedQAModel()
