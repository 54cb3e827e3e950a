"""The longer, the better."""


def metric(example, prediction, trace=None):
    return min(1.0, len(prediction.answer) / 60)
