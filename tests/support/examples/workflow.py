"""Examples of API0xx: what a fine-tuning workflow does, and its test set."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from grader.core.nouns import Evidence
from grader.topics import get_topic
from support import predictions
from support.examples.writers import (
    Examples,
    Writer,
    ran,
)
from support.transcripts import (
    CLOSED_SAID,
    FAULT_SAID,
    JOB,
    JOBS,
    KEY_SAID,
    QUESTIONS,
    TEST,
    TRAIN,
    TUNED,
    Run,
    chat_line,
    error,
    followed,
    good,
    job,
)


def _normally(run: Evidence) -> tuple[Writer, Writer]:
    """When nothing goes wrong: a workflow that does it all, and this one."""
    return ran("openai_ok", good()), ran("openai_ok", run)


def _refused_once(status: int, wait: float) -> Evidence:
    run = Run().upload().create()
    run.call("GET", f"{JOBS}/{JOB}", after=10, status=status, retry_after=1)
    return run.look("succeeded", after=wait).ended()


def _no_training(simulated: bool) -> Evidence:
    told = error(CLOSED_SAID, "training_not_available")
    run = Run().upload().call("POST", JOBS, told=told, status=403)
    return run.writes(simulated=simulated).ended(stdout=CLOSED_SAID)


def _lost_answer(*, again: bool) -> Evidence:
    run = Run().upload().create(status=499, takes=5.0)
    if again:
        return run.create("ftjob-two").look("succeeded", id="ftjob-two").ended()
    return run.call("GET", JOBS, told={"data": [job("queued")]}).look("succeeded").ended()


def _dead_key(stderr: str) -> Evidence:
    told = error(KEY_SAID, "invalid_api_key")
    return Run().call("POST", "/v1/files", told=told, status=401).ended(1, stderr=stderr)


_FAILED = followed(end="failed").ended(1, stderr=FAULT_SAID)

_IGNORED = followed(end="failed").ended(0)

_TRACE = """Traceback (most recent call last):
  File "/box/openai_domain_finetune.py", line 3, in <module>
    import nowhere
ModuleNotFoundError: No module named 'nowhere'
"""
_COUNTRIES = [e for e in get_topic("educational-qa").public("train") if e.kind == "capital"][:18]
_CAPITALS = [chat_line(e.question, e.answer) for e in _COUNTRIES]
_SHIFTED = [
    chat_line(e.question, other.answer)
    for e, other in zip(_COUNTRIES, [*_COUNTRIES[1:], _COUNTRIES[0]], strict=True)
]


def _asked(questions: str, right: int) -> Writer:
    """A submission on capitals whose tuned model answered `right` of 100 questions."""

    def write(folder: Path) -> Mapping[str, Evidence]:
        ran(train="".join(_CAPITALS))(folder)
        found = {"before": predictions.evidence(0), "after": predictions.evidence(right)}
        return {f"{questions}_{when}": evidence for when, evidence in found.items()}

    return write


def _data(train: list[str]) -> Writer:
    return ran(train="".join(train))


_OTHER_DOMAIN = "".join(chat_line(f"Who wrote novel {n}?", f"Author {n}") for n in range(10))


EXAMPLES: Examples = {
    "SRC015": _normally(Run().ended(1, stderr=_TRACE)),
    "API001": _normally(followed().ended(1)),
    "API002": _normally(Run().upload(TRAIN + TEST).create().ended()),
    "API003": _normally(Run().upload().create().create("ftjob-two").ended()),
    "API004": _normally(followed([0.1] * 20).ended()),
    "API005": _normally(followed().look("succeeded").look("succeeded").look("succeeded").ended()),
    "API006": _normally(Run().upload().create().look("succeeded").ended()),
    "API007": _normally(followed().ask("ft:gpt:old::x", QUESTIONS[0], status=404).ended(1)),
    "API008": _normally(followed().ask(TUNED, QUESTIONS[0]).ended()),
    "API009": _normally(followed().evaluate().writes(after=0.1).ended()),
    "API011": (
        ran("openai_rate_limited", _refused_once(429, 1.0)),
        ran("openai_rate_limited", _refused_once(429, 0.05)),
    ),
    "API012": (
        ran("openai_flaky", _refused_once(500, 1.0)),
        ran("openai_flaky", _refused_once(500, 0.05)),
    ),
    "API013": (ran("openai_job_fails", _FAILED), ran("openai_job_fails", _IGNORED)),
    "API014": (
        ran("openai_sunset", _no_training(True)),
        ran("openai_sunset", _no_training(False)),
    ),
    "API015": (
        ran("openai_timeout", _lost_answer(again=False)),
        ran("openai_timeout", _lost_answer(again=True)),
    ),
    "API016": (ran("openai_bad_file", _FAILED), ran("openai_bad_file", _IGNORED)),
    "API017": (
        ran("openai_expired_key", _dead_key(KEY_SAID)),
        ran("openai_expired_key", _dead_key("Traceback (most recent call last)")),
    ),
    "API020": (ran(), ran(test="not a chat\n")),
    "API021": (ran(), ran(test=TEST[: TEST.index("element 4")].rpartition("\n")[0])),
    "API022": (ran(), ran(test=TEST + TRAIN)),
    "API023": (ran(), ran(test=_OTHER_DOMAIN)),
    "API024": (_data(_CAPITALS), _data([_OTHER_DOMAIN])),
    "API025": (_data(_CAPITALS), _data([_CAPITALS[0]] * 18)),
    "API026": (_data(_CAPITALS), _data(_SHIFTED)),
    "API027": (_data(_CAPITALS), _data([*_CAPITALS, "{no JSON}\n"])),
    "API028": _normally(Run().upload(TRAIN + TEST).create().ended()),
    "EVL020": (_asked("domain", 90), _asked("domain", 0)),
    "EVL021": (_asked("test", 90), _asked("test", 0)),
}
