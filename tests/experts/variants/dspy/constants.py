"""Always the same answer, and no model."""

import dspy


class EnhancedQAModel(dspy.Module):
    def forward(self, question):
        return dspy.Prediction(context=["Finland lies in Europe."], answer="euro")


def build_program():
    return EnhancedQAModel()
