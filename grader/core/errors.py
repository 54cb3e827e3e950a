"""What can go wrong, as one tree.

FinegradeError
├── UsageError            the command or its configuration is wrong (exit 2)
│   └── AssignmentError   an assignment YAML is wrong
├── IntakeError           a submission cannot be taken in; carries a LAY code
├── FileRefused           a student's file breaks a rule; carries the code of that rule
└── GraderFault           our own or the machine's fault: never costs a student a mark (exit 3)
"""

from __future__ import annotations

import errno
import traceback
from pathlib import PurePath
from typing import Final


class FinegradeError(Exception):
    """Base of every error that finegrade raises on purpose. The text is for people."""


class UsageError(FinegradeError):
    """The command line or a configuration file is wrong; says what to change."""


class AssignmentError(UsageError):
    """An assignment YAML is wrong; says the file, the place and the rule."""


class CodedError(FinegradeError):
    """A student's fault with the code of the check that it fails.

    Attributes: `code` such as "LAY101"; `message` what was found and what was expected; `hint`
    what to do next; `path` the file inside the submission, where there is one.
    """

    def __init__(self, code: str, message: str, hint: str, path: str | None = None) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.hint = hint
        self.path = path


class IntakeError(CodedError):
    """A submission that cannot be taken in at all (a bad archive, too large, a link)."""


class FileRefused(CodedError):
    """A file of a submission that breaks a rule (an adapter with pickle, a NaN, a wrong shape)."""


_MACHINES: Final = frozenset(
    {errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE, errno.EIO, errno.ENOMEM}
)


def is_machines(error: BaseException) -> bool:
    """Whether the machine failed, which no submission can cause: a full disk, a missing library.

    Whatever else fails in our code may fail because of what was submitted.
    """
    machines = isinstance(error, OSError) and error.errno in _MACHINES
    return machines or isinstance(error, GraderFault | ImportError)


def frames_of(error: BaseException, most: int = 3) -> str:
    """The innermost places where it was raised, without folders of this machine."""
    frames = traceback.extract_tb(error.__traceback__)[-most:]
    return ", ".join(f"{PurePath(f.filename).name}:{f.lineno} {f.name}" for f in reversed(frames))


class GraderFault(FinegradeError):
    """The grader or the machine failed. The student's points stay unknown, never zero."""
