"""A step before the answer, and examples that show it."""

import dspy

FACTS = {
    "What is the capital of Estonia?": ("The capital of Estonia is Tallinn.", "Tallinn"),
    "Which symbol stands for vanadium?": ("The symbol of vanadium is V.", "V"),
    "What do you call a baby bear?": ("The young of the bear is cub.", "cub"),
}
DEMOS = [
    dspy.Example(question=question, fact=fact, answer=answer)
    for question, (fact, answer) in FACTS.items()
]


class EnhancedQAModel(dspy.Module):
    def __init__(self):
        super().__init__()
        self.generate = dspy.Predict("question -> fact, answer")
        self.generate.demos = list(DEMOS)

    def forward(self, question):
        return self.generate(question=question)


def build_program():
    return EnhancedQAModel()
