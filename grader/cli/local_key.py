"""Who may use a service on loopback: on a machine of several people, whoever has the home's key."""

from __future__ import annotations

import os
import pwd
import secrets
import sys
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final

_FIRST_PERSON: Final = 500 if sys.platform == "darwin" else 1_000  # below are the system's accounts
_LAST_PERSON: Final = 59_999  # as in login.defs; beyond are nobody, containers and services
_NO_LOGIN: Final = ("nologin", "false", "true", "sync", "")
# First processes of machines that people log in to. In a container it is the program itself.
_INIT: Final = frozenset({"systemd", "init", "launchd", "runit", "s6-svscan", "openrc-init"})
_KEY_FILE: Final = "key"


def others_use_this_machine(
    accounts: Iterable[pwd.struct_passwd] | None = None, processes: Path = Path("/proc")
) -> bool:
    """Whether another person has an account to log in with, or a process, on this machine.

    Accounts of a directory service may not be listed; their processes are seen. The accounts of a
    container come with its image, and nobody logs in with them.
    """
    people = {
        account.pw_uid
        for account in (pwd.getpwall() if accounts is None else accounts)
        if Path(account.pw_shell).name not in _NO_LOGIN and _people_log_in(processes)
    }
    for process in processes.glob("[0-9]*"):
        with suppress(OSError):  # it has ended
            people.add(process.stat().st_uid)
    people.discard(os.getuid())
    return any(_FIRST_PERSON <= uid <= _LAST_PERSON for uid in people)


def _people_log_in(processes: Path) -> bool:
    try:
        return (processes / "1" / "comm").read_text().strip() in _INIT
    except OSError:  # no such folder: macOS
        return True


def key_of(home: Path) -> str:
    """The key of the service in this folder, made at random when it is first needed."""
    file = home / _KEY_FILE
    with suppress(FileExistsError):
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as new:
            new.write(f"sk-{secrets.token_urlsafe(24)}")
    return file.read_text().strip()
