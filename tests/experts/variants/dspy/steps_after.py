"""Answers first, and then says why."""

import dspy


class EnhancedQAModel(dspy.Module):
    def __init__(self):
        super().__init__()
        self.generate = dspy.Predict("question -> answer, reasoning")

    def forward(self, question):
        return self.generate(question=question)


def build_program():
    return EnhancedQAModel()
