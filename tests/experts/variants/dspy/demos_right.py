"""Four right examples of the training data before the question."""

import dspy

DEMOS = [
    dspy.Example(question="What is the capital of Estonia?", answer="Tallinn"),
    dspy.Example(question="Which symbol stands for vanadium?", answer="V"),
    dspy.Example(question="What do you call a baby bear?", answer="cub"),
    dspy.Example(question="Which language is mainly spoken in Uruguay?", answer="Spanish"),
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
