"""Writes datasets/<topic>/{train,validation,test,passages}.jsonl and cards from the topics.

    python scripts/make_datasets.py [FOLDER]

The output depends on nothing but the code and the fact tables, so running it twice gives the
same bytes; tests/topics/test_datasets.py holds the committed files to that.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path
from typing import Final, get_args

from grader.topics import TOPICS, Split, Topic, TopicExample

ROOT: Final = Path(__file__).resolve().parent.parent
SOURCES: Final = {
    "educational-qa": (
        "General knowledge that any encyclopaedia confirms, written down for this course in "
        "`grader/topics/data/countries.csv`, `elements.csv` and `animals.csv`. Facts that are "
        "disputed, recently changed or have several right answers were left out: such a cell is "
        "empty, or the subject is missing. Accents are dropped (Bogota, Brasilia)."
    ),
    "iot-diagnostics": (
        "Invented for this course: the error codes, faults and repairs of a device family that "
        "does not exist, in `grader/topics/data/iot_codes.csv`. Log lines are generated."
    ),
}


def chat_line(topic: Topic, example: TopicExample) -> str:
    """One example as a line of OpenAI chat JSONL."""
    messages = [
        {"role": "system", "content": topic.system},
        {"role": "user", "content": example.question},
        {"role": "assistant", "content": example.answer},
    ]
    return json.dumps({"messages": messages}, ensure_ascii=False)


def passage_line(topic: Topic, subject: str) -> str:
    """What there is to know about one subject, as a line of JSONL."""
    return json.dumps({"text": topic.passage(subject)}, ensure_ascii=False)


def card(topic: Topic) -> str:
    """The README.md of a topic's folder."""
    splits = {split: topic.public(split) for split in get_args(Split)}
    kinds = list(topic.relations)
    rows = []
    for split, examples in splits.items():
        counts = Counter(e.kind for e in examples)
        cells = [len(examples), len({e.subject for e in examples}), *(counts[k] for k in kinds)]
        rows.append(f"| {split} | " + " | ".join(map(str, cells)) + " |")
    share = 100 * len(topic.subjects("public")) / len(topic.facts)
    head = "| file | examples | subjects | " + " | ".join(kinds) + " |"
    rule = "|---" * (3 + len(kinds)) + "|"
    return f"""# {topic.title}

Public data of the topic `{topic.name}`: one chat example a line, with the keys that OpenAI's
fine-tuning API accepts and no others. The answer is the shortest correct one.

{head}
{rule}
{chr(10).join(rows)}

**Split.** By subject: no subject is in two files, so the test file shows what happens on subjects
that were not trained on. About {share:.0f} % of the topic's \
{len(topic.facts)} subjects are public. Hidden sets ask about the others, a quarter of the time in
phrasings that occur in none of these files.

**Passages.** `passages.jsonl` holds what there is to look up: one `{{"text": ...}}` a line for each
of the {len(topic.facts)} subjects, hidden ones too, since a program that retrieves can answer only
from what it may read. They are statements in one wording, no questions and no answers; the facts
themselves come with the package. Questions stay hidden.

**Source.** {SOURCES[topic.name]}

**How made.** `python scripts/make_datasets.py` writes these files, always the same bytes. Wording
and order are drawn with seeds that depend on the topic's name and the split alone.

**Guessing.** Always giving the commonest training answer of its kind scores \
{100 * guess_score(topic):.1f} % on `test.jsonl`: a model below that has learned nothing.

**Limits.** English, ASCII, one short answer a question; facts as of 2026.

**Licence.** Apache-2.0, like the rest of the repository. No personal data.
"""


def guess_score(topic: Topic) -> float:
    """The share of the public test that the commonest answer per kind gets right."""
    test = topic.public("test")
    return sum(topic.guess(e.kind) == e.answer for e in test) / len(test)


def write(folder: Path) -> None:
    """Writes every topic's files below `folder`."""
    for topic in TOPICS.values():
        target = folder / topic.name
        target.mkdir(parents=True, exist_ok=True)
        for split in get_args(Split):
            lines = [chat_line(topic, example) + "\n" for example in topic.public(split)]
            (target / f"{split}.jsonl").write_text("".join(lines), encoding="utf-8")
        passages = [passage_line(topic, subject) + "\n" for subject in sorted(topic.facts)]
        (target / "passages.jsonl").write_text("".join(passages), encoding="utf-8")
        (target / "README.md").write_text(card(topic), encoding="utf-8")


if __name__ == "__main__":
    write(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "datasets")
