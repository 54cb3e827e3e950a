"""The original with examples as an optimiser leaves them: labelled ones and its own."""

import dspy

SEEN = {
    "What is the capital of Estonia?": ("The capital of Estonia is Tallinn.", "Tallinn"),
    "Which symbol stands for vanadium?": ("The symbol of vanadium is V.", "V"),
    "What do you call a baby bear?": ("The young of the bear is cub.", "cub"),
}
LABELLED = {
    "Which language is mainly spoken in Uruguay?": "Spanish",
    "On which continent is Finland?": "Europe",
    "Give the atomic number of tantalum.": "73",
}
DEMOS = [
    dspy.Example(augmented=True, question=question, reasoning=reasoning, answer=answer)
    for question, (reasoning, answer) in SEEN.items()
] + [dspy.Example(question=question, answer=answer) for question, answer in LABELLED.items()]


class EnhancedQAModel(dspy.Module):
    def __init__(self):
        super().__init__()
        self.generate = dspy.ChainOfThought("question -> answer")
        self.generate.predict.demos = list(DEMOS)

    def forward(self, question):
        return self.generate(question=question)


def build_program():
    return EnhancedQAModel()
