"""Parts of a batch that fit into memory one after the other, whatever the size of the batch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from grader.core.constants import MIB
from grader.models.tokenization import TokenRow

_MICRO_BATCH_BYTES: Final = 768 * MIB  # of activations; about 9,000 tokens of the course model
# Numbers that a token keeps until the backward pass: its logits several times over, and of each
# layer the inputs of its products.
_LOGITS, _HIDDEN, _INTERMEDIATE = 6, 12, 4
_FLOAT_BYTES: Final = 4


def most_tokens(config: Any) -> int:
    """How many tokens, padding included, a model of this transformers config trains at once."""
    layer = _HIDDEN * config.hidden_size + _INTERMEDIATE * _intermediate_size(config)
    numbers = _LOGITS * config.vocab_size + config.num_hidden_layers * layer
    return max(1, int(_MICRO_BATCH_BYTES // (_FLOAT_BYTES * numbers)))


def micro_batches(
    examples: Sequence[Sequence[TokenRow]], tokens: int
) -> Iterator[list[Sequence[TokenRow]]]:
    """The examples in order, in parts of at most `tokens` tokens after padding.

    An example that has more is a part of its own.
    """
    part: list[Sequence[TokenRow]] = []
    rows = longest = 0
    for example in examples:
        length = max(longest, *(len(row.ids) for row in example))
        if part and (rows + len(example)) * length > tokens:
            yield part
            part, rows, length = [], 0, max(len(row.ids) for row in example)
        part.append(example)
        rows, longest = rows + len(example), length
    if part:
        yield part


def _intermediate_size(config: Any) -> int:
    """Of the layers' inner products; models that do not name it use four times the hidden size."""
    named = getattr(config, "intermediate_size", None)
    return int(named) if isinstance(named, int) else 4 * int(config.hidden_size)
