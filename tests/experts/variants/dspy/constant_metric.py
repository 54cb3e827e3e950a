"""Everything is half right."""


def metric(example, prediction, trace=None):
    return 0.5
