"""IoT fault diagnosis: error codes of an invented device family, read from log excerpts."""

from __future__ import annotations

import random
from typing import Final

from grader.topics.topic import FactKind, Topic, read_table

_RELATIONS: Final = (
    FactKind(
        "component",
        (
            "The component behind {s} is {o}.",
            "Code {s} points to the {o}.",
            "With {s} the part to look at is the {o}.",
            "The device raises {s} when it finds trouble in the {o}.",
        ),
        ("Trouble in the {o} may raise {s}.",),
        (
            "Which component is affected?",
            "Which part of the device is in trouble?",
            "Name the component concerned.",
        ),
        ("Where in the device is the trouble?", "Can you tell me the component?"),
    ),
    FactKind(
        "fault",
        (
            "The fault behind {s} is {o}.",
            "The likely fault behind {s} is {o}.",
            "Most often {s} is caused by {o}.",
            "As a rule {s} means {o}.",
        ),
        ("A case of {o} shows up as {s}.",),
        (
            "What is the likely fault?",
            "What is the most probable cause?",
            "Name the fault behind this error.",
        ),
        ("Can you tell me what went wrong?", "Which fault explains this log?"),
        weight=2,
    ),
    FactKind(
        "action",
        (
            "The remedy for {s} is {o}.",
            "To clear {s}, {o}.",
            "When {s} comes up, {o}.",
        ),
        ("Technicians {o} to clear {s}.",),
        (
            "What should the technician do?",
            "What is the right repair?",
            "Name the repair to carry out.",
        ),
        ("Can you tell me how to fix it?", "Which repair clears this error?"),
        weight=2,
    ),
)
_READINGS: Final = ("temp {a} C", "load {a} percent", "signal {a} dB", "status ok", "uptime {a} h")
_ERRORS: Final = (
    "unit {u} error {s}",
    "unit {u} raised {s}",
    "alarm {s} on unit {u}",
    "unit {u} stopped with {s}",
)


def log_excerpt(subject: str, rng: random.Random) -> str:
    """Two or three log lines of one unit, one of which raises the code `subject`."""
    hour, minute, unit = rng.randint(10, 22), rng.randint(10, 50), rng.randint(1, 40)
    reading = "unit {u} " + rng.choice(_READINGS)
    lines = [reading, rng.choice(_ERRORS)]
    if rng.random() < 0.4:
        lines.append("unit {u} waiting for service")
    values = {"a": rng.randint(10, 99), "u": unit, "s": subject}
    return "\n".join(f"{hour}:{minute + i} {t.format(**values)}" for i, t in enumerate(lines))


def ask_about_log(template: str, subject: str, rng: random.Random) -> str:
    """A log excerpt, and below it the question."""
    return f"{log_excerpt(subject, rng)}\n{template}"


_FACTS: Final = read_table("iot_codes")

IOT_DIAGNOSTICS: Final = Topic(
    name="iot-diagnostics",
    title="IoT fault diagnosis from device logs",
    system="Read the device log and answer the question with the shortest correct answer.",
    relations={relation.kind: relation for relation in _RELATIONS},
    facts=_FACTS,
    groups=dict.fromkeys(_FACTS, "code"),
    ask=ask_about_log,
    rounds=2,
)
