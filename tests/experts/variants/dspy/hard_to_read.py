"""Retrieval as in good, but with a field of a form that the prompt does not tell the model."""

import dspy
from good import EnhancedQAModel as Good
from pydantic import BaseModel, field_validator


class Shouted(BaseModel):
    word: str

    @field_validator("word")
    @classmethod
    def is_loud(cls, word):
        if not word.isupper():
            raise ValueError(word)
        return word


class Wanted(dspy.Signature):
    """Answer the question from the context."""

    context: list[str] = dspy.InputField()
    question: str = dspy.InputField()
    shouted: Shouted = dspy.OutputField()
    answer: str = dspy.OutputField()


class EnhancedQAModel(Good):
    def __init__(self):
        super().__init__()
        self.generate_answer = dspy.Predict(Wanted)


def build_program():
    return EnhancedQAModel()
