"""As good, but it does not survive questions about symbols and currencies."""

from good import EXTRA_EXAMPLES, metric  # noqa: F401
from good import EnhancedQAModel as Good


class EnhancedQAModel(Good):
    def forward(self, question):
        if "symbol" in question or "currency" in question:
            raise ValueError(f"I never thought of: {question}")
        return super().forward(question)


def build_program():
    return EnhancedQAModel()
