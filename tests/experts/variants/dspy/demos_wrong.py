"""Four examples of the right form with wrong answers."""

import dspy

DEMOS = [
    dspy.Example(question="What is the capital of Estonia?", answer="Lisbon"),
    dspy.Example(question="Which symbol stands for vanadium?", answer="Pb"),
    dspy.Example(question="What do you call a baby bear?", answer="foal"),
    dspy.Example(question="Which language is mainly spoken in Uruguay?", answer="Korean"),
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
