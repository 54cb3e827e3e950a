"""The example under another name."""

from dspy_example import EXAMPLES as EXTRA_EXAMPLES  # noqa: F401
from dspy_example import EducationalQAModel, simple_match


class EnhancedQAModel(EducationalQAModel):
    pass


def build_program():
    return EnhancedQAModel()


metric = simple_match
