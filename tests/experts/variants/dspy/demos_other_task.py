"""Four examples of another task: the mood of a sentence."""

import dspy

DEMOS = [
    dspy.Example(question="The soup was cold and the waiter was rude.", answer="negative"),
    dspy.Example(question="I would come back any day.", answer="positive"),
    dspy.Example(question="We waited two hours for a table.", answer="negative"),
    dspy.Example(question="The best cake that I have ever had.", answer="positive"),
]


class EnhancedQAModel(dspy.Module):
    def __init__(self):
        super().__init__()
        self.generate = dspy.Predict("question -> answer")
        self.generate.demos = list(DEMOS)

    def forward(self, question):
        return self.generate(question=question)


def build_program():
    return EnhancedQAModel()
