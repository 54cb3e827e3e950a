"""The numbers of a training file that its page draws, gathered in one pass and bounded memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from grader.training_data.examples import Example

MAX_ANSWERS: Final = 100_000  # different ones that are counted: at most some 50 MB
_LISTED_ANSWERS: Final = 12  # most frequent ones on the page: more are a long tail of ones
_ANSWER_CHARACTERS: Final = 120  # of each: two lines of the page
_ROLES: Final = ("system", "user", "assistant", "tool", "function")
_OTHER_ROLE: Final = "other"

Lengths = Counter[int]
"""How many examples have each length. A file of n bytes has at most √2n different ones."""


@dataclass(frozen=True, slots=True)
class Numbers:
    """What the examples of one file are like.

    `tokens` (perhaps of an even sample), `prompts` and `answers` (characters) count the examples
    of each length, `messages` those of each number of messages. `roles` counts messages.
    `frequent` has the beginnings of the answers that come more than once with their counts, most
    first, among the first MAX_ANSWERS `different` ones.
    """

    examples: int
    tokens: Lengths
    prompts: Lengths
    answers: Lengths
    messages: Lengths
    roles: Counter[str]
    frequent: tuple[tuple[str, int], ...]
    different: int


def gather(
    examples: Iterable[Example], count_tokens: Callable[[Example], int], every: int = 1
) -> Numbers:
    """The numbers of all these examples; tokens, which take longest, of every so many-th only."""
    total = 0
    tokens, prompts, answers, messages = (Lengths() for _ in range(4))
    roles: Counter[str] = Counter()
    texts: Counter[tuple[str, int]] = Counter()
    for example in examples:
        answer = example.answer
        if total % every == 0:
            tokens[count_tokens(example)] += 1
        prompts[len(example.prompt)] += 1
        answers[len(answer)] += 1
        spoken = [message.get("role") for message in example.messages]
        messages[len(spoken)] += 1
        roles.update(role if role in _ROLES else _OTHER_ROLE for role in spoken)
        # Long answers that begin alike are told apart by a hash, without keeping them.
        key = (answer[:_ANSWER_CHARACTERS], hash(answer))
        if key in texts or len(texts) < MAX_ANSWERS:
            texts[key] += 1
        total += 1
    frequent = sorted(
        ((text, n) for (text, _), n in texts.items() if n > 1), key=lambda a: (-a[1], a[0])
    )
    return Numbers(
        examples=total,
        tokens=tokens,
        prompts=prompts,
        answers=answers,
        messages=messages,
        roles=Counter({r: roles[r] for r in (*_ROLES, _OTHER_ROLE) if roles[r]}),
        frequent=tuple(frequent[:_LISTED_ANSWERS]),
        different=len(texts),
    )


def percentile(lengths: Lengths, share: float) -> int:
    """The length that at least `share` (0 to 1) of the examples do not exceed; 0 of none."""
    wanted = share * lengths.total()
    seen = 0
    for length in sorted(lengths):
        seen += lengths[length]
        if seen >= wanted:
            return length
    return 0
