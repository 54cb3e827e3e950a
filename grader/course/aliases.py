"""Anonymous ids of students, for whoever judges their work."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections.abc import Iterable, Mapping
from typing import Final

from grader.evidence.review import ReviewLog

_KEY: Final = "key of anonymous ids"
_CHARACTERS: Final = 8  # 40 bits: two students of one class never share one


def aliases_of(log: ReviewLog, assignment: str, students: Iterable[str]) -> Mapping[str, str]:
    """Anonymous ids by student, which differ by assignment and by OUT.

    Without the key, which the store of `log` keeps, nobody can work them out.
    """
    log.keep({_KEY: secrets.token_hex(32)})  # the first one stays
    key = (log.kept(_KEY) or "").encode()
    return {
        student: _alias(key, f"{assignment}\0{student}".encode("utf-8", "replace"))
        for student in students
    }


def _alias(key: bytes, text: bytes) -> str:
    digest = hmac.new(key, text, hashlib.sha256).digest()
    return base64.b32encode(digest)[:_CHARACTERS].decode().lower()
