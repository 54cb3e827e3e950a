"""The original with a longer instruction."""

import dspy

SIGNATURE = dspy.Signature(
    "question -> answer, reasoning",
    "You are a careful expert. Take a deep breath, think step by step.",
)


class EnhancedQAModel(dspy.Module):
    def __init__(self):
        super().__init__()
        self.generate = dspy.Predict(SIGNATURE)

    def forward(self, question):
        return self.generate(question=question)


def build_program():
    return EnhancedQAModel()
