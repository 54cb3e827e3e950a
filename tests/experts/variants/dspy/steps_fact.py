"""States the fact that the question is about, then answers from it."""

import dspy


class InSteps(dspy.Signature):
    """First state the fact that the question is about, then give the shortest correct answer."""

    question: str = dspy.InputField()
    fact: str = dspy.OutputField(desc="step 1: the fact, as a sentence")
    answer: str = dspy.OutputField(desc="step 2: the shortest correct answer, from the fact")


class EnhancedQAModel(dspy.Module):
    def __init__(self):
        super().__init__()
        self.generate = dspy.Predict(InSteps)

    def forward(self, question):
        return self.generate(question=question)


def build_program():
    return EnhancedQAModel()
