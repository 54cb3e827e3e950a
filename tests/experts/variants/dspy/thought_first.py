"""The original with its chain of thought before the answer."""

import dspy


class EnhancedQAModel(dspy.Module):
    def __init__(self):
        super().__init__()
        self.generate = dspy.ChainOfThought("question -> answer")

    def forward(self, question):
        return self.generate(question=question)


def build_program():
    return EnhancedQAModel()
