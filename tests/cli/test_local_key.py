"""When a service on loopback needs a key, and that only its owner can read what it keeps."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

import pytest

from grader.cli.local_key import key_of, others_use_this_machine
from grader.openai_sim.store.store import SimulatorStore


def account(uid: int, shell: str = "/bin/bash") -> pwd.struct_passwd:
    return pwd.struct_passwd((f"u{uid}", "x", uid, uid, "", "/", shell))


@pytest.mark.parametrize(
    ("accounts", "others"),
    [
        ([], False),
        ([account(os.getuid())], False),
        ([account(os.getuid()), account(4_242)], True),
        ([account(4_242, "/usr/sbin/nologin"), account(4_243, "/bin/false")], False),
        ([account(33), account(65_534)], False),
    ],
)
def test_a_person_is_who_can_log_in(
    accounts: list[pwd.struct_passwd], others: bool, tmp_path: Path
) -> None:
    assert others_use_this_machine(accounts, tmp_path) is others


@pytest.mark.parametrize(("first", "others"), [("systemd", True), ("bash", False)])
def test_accounts_of_a_containers_image_are_nobody(
    first: str, others: bool, tmp_path: Path
) -> None:
    (tmp_path / "1").mkdir()
    (tmp_path / "1" / "comm").write_text(f"{first}\n")
    os.chown(tmp_path / "1", os.getuid(), -1)
    assert others_use_this_machine([account(4_242)], tmp_path) is others


@pytest.mark.skipif(os.getuid() != 0, reason="only root makes a process of another user")
def test_a_person_of_a_directory_service_is_seen_by_a_process(tmp_path: Path) -> None:
    (tmp_path / "77").mkdir()
    os.chown(tmp_path / "77", 4_242, 4_242)
    assert others_use_this_machine([], tmp_path)


def test_the_key_of_a_home_stays_the_same_and_is_its_owners(tmp_path: Path) -> None:
    first = key_of(tmp_path)
    assert key_of(tmp_path) == first != key_of(_new(tmp_path / "other"))
    assert len(first) > 30
    assert (tmp_path / "key").stat().st_mode & 0o777 == 0o600


def test_a_home_is_its_owners_alone_also_one_of_an_earlier_version(tmp_path: Path) -> None:
    home = tmp_path / "home"
    SimulatorStore.open(home).end()
    for file in (home / "files", home / "jobs", home / "adapters"):
        file.chmod(0o755)
    (home / "sim.sqlite").chmod(0o644)
    (home / "journal.jsonl").touch(0o644)
    SimulatorStore.open(home).end()
    assert home.stat().st_mode & 0o077 == 0
    assert not [path for path in home.rglob("*") if path.stat().st_mode & 0o077]


def _new(folder: Path) -> Path:
    folder.mkdir()
    return folder
