"""F1 over words without case and punctuation: better than matching, blind to order and to "not"."""

import re
from collections import Counter


def metric(example, prediction, trace=None):
    given, wanted = (
        Counter(re.findall(r"\w+", text.lower())) for text in (prediction.answer, example.answer)
    )
    same = (given & wanted).total()
    return 2 * same / max(1, given.total() + wanted.total())
