"""A field for the reasoning, which goes in blank."""

import dspy


class EnhancedQAModel(dspy.Module):
    def __init__(self):
        super().__init__()
        self.generate = dspy.Predict("question, reasoning -> answer")

    def forward(self, question):
        return self.generate(question=question, reasoning="")


def build_program():
    return EnhancedQAModel()
