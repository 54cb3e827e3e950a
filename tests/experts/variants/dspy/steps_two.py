"""Two ordered steps before the answer."""

import dspy


class EnhancedQAModel(dspy.Module):
    def __init__(self):
        super().__init__()
        self.generate = dspy.Predict("question -> recall, step, answer")

    def forward(self, question):
        return self.generate(question=question)


def build_program():
    return EnhancedQAModel()
