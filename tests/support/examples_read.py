"""Examples and whole data sets for tests, made as files make them: from lines of JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

from grader.training_data.check import DataSet
from grader.training_data.read.examples import Example, examples_of
from grader.training_data.read.faults import Fault
from grader.training_data.read.lines import Line

JsonObject = dict[str, Any]


def chat(prompt: str, answer: str, system: str | None = None) -> JsonObject:
    """A line of kind chat."""
    messages = [{"role": "user", "content": prompt}, {"role": "assistant", "content": answer}]
    if system is not None:
        messages.insert(0, {"role": "system", "content": system})
    return {"messages": messages}


def qa(question: str, answer: str) -> JsonObject:
    """A line of kind qa."""
    return {"question": question, "answer": answer}


def completion(prompt: str, text: str) -> JsonObject:
    """A line of kind completion."""
    return {"prompt": prompt, "completion": text}


def preference(prompt: str, preferred: str, rejected: str) -> JsonObject:
    """A line of kind preference."""
    return {
        "input": {"messages": [{"role": "user", "content": prompt}]},
        "preferred_output": [{"role": "assistant", "content": preferred}],
        "non_preferred_output": [{"role": "assistant", "content": rejected}],
    }


def examples(values: Iterable[JsonObject]) -> Iterator[Example]:
    """The examples of a file with these lines."""
    lines = (Line(i, json.dumps(value).encode()) for i, value in enumerate(values, 1))
    return examples_of(lines)


def faults(values: Iterable[JsonObject]) -> list[Fault]:
    """All that the passes find in a file with these lines."""
    return all_faults(examples(values))


def all_faults(some: Iterable[Example]) -> list[Fault]:
    """All that the passes find in these examples."""
    data_set = DataSet()
    found = [fault for example in some for fault in data_set.add(example)]
    return [*found, *data_set.faults()]


def lines_of(code: str, values: Iterable[JsonObject]) -> list[int | None]:
    """The lines of the faults of one code."""
    return [fault.line for fault in faults(values) if fault.code == code]


def words(seed: int, count: int = 12) -> str:
    """Text that is unlike that of any other seed."""
    return " ".join(f"w{(seed * 7919 + i * 104729) % 99991}" for i in range(count))
