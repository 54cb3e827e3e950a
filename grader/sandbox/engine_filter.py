"""The system-call filter of seccomp_filter.py as engines for containers want it: as JSON.

Source of the form: the OCI runtime specification 1.1, config-linux.md, "Seccomp".
"""

from __future__ import annotations

import errno
import functools
import json
from typing import Any

from grader.sandbox.seccomp_filter import (
    CLONE_NAMESPACES,
    DENIED,
    DEVICES,
    FAMILIES,
    MAKE_CALLS,
    MODE_CALLS,
    ONE_PROCESS,
    OTHERS,
    SET_ID_BITS,
    TERMINAL_INPUT,
)


@functools.cache
def engine_filter() -> bytes:
    """The same denials in the same order. Names that a machine does not know are left out by it."""
    rules = [_rule(list(DENIED)), _rule(["clone3"], code=errno.ENOSYS)]
    rules += [_rule(["clone"], _masked(0, flag, flag)) for flag in CLONE_NAMESPACES]
    for call, at in MODE_CALLS:
        rules += [_rule([call], _masked(at, bit, bit)) for bit in SET_ID_BITS]
    for call, at in MAKE_CALLS:
        rules += [_rule([call], _masked(at, 0o170000, kind)) for kind in DEVICES]
    rules += [_rule(["ioctl"], _masked(1, 0xFFFF_FFFF, number)) for number in TERMINAL_INPUT]
    # Process 1 is the same user's: its limits would be the program's to set.
    rules += [_rule([call], _other(at, 0)) for call, at in OTHERS]
    rules += [_rule([call], _other(0, kind)) for call, kind in ONE_PROCESS]
    others = [family for family in range(max(FAMILIES) + 1) if family not in FAMILIES]
    no_family = errno.EAFNOSUPPORT
    for family in others:
        argument = {"index": 0, "value": family, "op": "SCMP_CMP_EQ"}
        rules.append(_rule(["socket"], argument, code=no_family))
    beyond = {"index": 0, "value": max(FAMILIES), "op": "SCMP_CMP_GT"}
    rules.append(_rule(["socket"], beyond, code=no_family))
    return json.dumps({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": rules}).encode()


def _rule(names: list[str], *arguments: dict[str, Any], code: int = errno.EPERM) -> dict[str, Any]:
    return {
        "names": names,
        "action": "SCMP_ACT_ERRNO",
        "errnoRet": code,
        "args": list(arguments),
    }


def _other(at: int, value: int) -> dict[str, Any]:
    return {"index": at, "value": value, "op": "SCMP_CMP_NE"}


def _masked(at: int, mask: int, value: int) -> dict[str, Any]:
    return {"index": at, "value": mask, "valueTwo": value, "op": "SCMP_CMP_MASKED_EQ"}
