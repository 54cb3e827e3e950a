"""A machine without user namespaces, as Docker's default profile makes one: for this process only.

Run as a program: `python blocked_machine.py PROGRAM...` executes the rest of its arguments there.
"""

from __future__ import annotations

import errno
import os
import sys

import pyseccomp

CLONE_NEWUSER = 0x10000000


def block() -> None:
    """No user namespace can be made and no other process looked into any more."""
    rules = pyseccomp.SyscallFilter(pyseccomp.ALLOW)
    refuse = pyseccomp.ERRNO(errno.EPERM)
    new_user = pyseccomp.MASKED_EQ, CLONE_NEWUSER, CLONE_NEWUSER
    for call in ("clone", "unshare"):
        rules.add_rule(refuse, call, pyseccomp.Arg(0, *new_user))
    rules.add_rule(pyseccomp.ERRNO(errno.ENOSYS), "clone3")
    for call in ("ptrace", "process_vm_readv", "pidfd_getfd", "kcmp"):
        rules.add_rule(refuse, call)
    rules.load()


if __name__ == "__main__":
    block()
    os.execv(sys.argv[1], sys.argv[1:])
