"""Of five pairs one is public, one is there twice, one asks nothing and one holds its answer."""

import dspy
from good import build_program, metric  # noqa: F401

EXTRA_EXAMPLES = [
    dspy.Example(question=question, answer=answer).with_inputs("question")
    for question, answer in (
        ("Name the chemical symbol of radon!", "Rn"),
        ("What is the young of the wolf called?", "pup"),
        ("What is the young of the wolf called?", "cub"),
        ("Wolves.", "pup"),
        ("Is the wolf a mammal, yes it is a mammal, what is it?", "mammal"),
    )
]
