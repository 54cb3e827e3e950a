"""Whether programs of submissions can be run on this machine, and what is pending where not."""

from __future__ import annotations

from typing import Final

from grader.sandbox.choose import NoSandbox, choose_sandbox


def _why_not() -> str:
    try:
        choose_sandbox()
    except NoSandbox as error:
        return str(error)
    return ""


NO_SANDBOX: Final = _why_not()
"""Why no program can be run in full isolation here; "" where it can."""

NEED_IT: Final = (
    "collect/test_transcripts.py",
    "sandbox/escapes/test_bubblewrap_escapes.py",
    "sandbox/escapes/test_suite.py",
    "sandbox/test_bubblewrap.py",
    "sandbox/test_documents.py",
    "sandbox/test_restricted.py",
    "sandbox/test_seccomp_filter.py",
    "test_part1_experts.py",
    "test_part2_experts.py",
    "test_several.py",
)
"""Test files that run programs, by their paths below tests."""
