"""What every sandbox gives back of a run, and where it stops one."""

from __future__ import annotations

import pytest
from support.sandbox_runs import SMALL, run, said

from grader.sandbox.api import ExitReason, Sandbox

# --- what it leaves ----------------------------------------------------------------------------


def test_new_and_changed_files_are_taken_out(sandbox: Sandbox):
    ended = run(
        sandbox,
        """
        import os
        os.makedirs("a/b")
        open("a/b/ünïcode \U0001f600.txt", "wb").write(bytes(range(256)))
        open("empty", "w").close()
        open("changed.txt", "r+").write("X")
        os.unlink("deleted.txt")
        open("same.txt").read()
        """,
        files={"changed.txt": b"abc", "deleted.txt": b"x", "same.txt": b"same"},
    )
    assert said(ended) == ""
    assert ended.files == {
        "a/b/ünïcode \U0001f600.txt": bytes(range(256)),
        "empty": b"",
        "changed.txt": b"Xbc",
    }
    assert ended.refused == ()


def test_what_is_no_regular_file_stays_there(sandbox: Sandbox):
    ended = run(
        sandbox,
        """
        import os, socket
        os.symlink("/etc/passwd", "link")
        os.symlink("/", "root")
        os.symlink("loop", "loop")
        os.mkfifo("pipe")
        kept = socket.socket(socket.AF_UNIX)
        kept.bind("door")
        os.mkdir("real")
        open("real/file", "w").write("taken")
        open(b"not-utf8-\\xff", "w").write("x")
        """,
    )
    assert said(ended) == ""
    assert ended.files == {"real/file": b"taken"}
    assert {one.path: one.why for one in ended.refused} == {
        "link": "a symbolic link, not a regular file",
        "root": "a symbolic link, not a regular file",
        "loop": "a symbolic link, not a regular file",
        "pipe": "a named pipe, not a regular file",
        "door": "a socket, not a regular file",
        "not-utf8-\\xff": "its name is not UTF-8",
    }


def test_no_more_files_are_taken_than_allowed(sandbox: Sandbox):
    ended = run(
        sandbox,
        """
        for name in "abcdef":
            open(name, "w").write(name * 100)
        open("0", "w").write("0" * 1000)
        """,
        harvest_files=3,
        harvest_bytes=250,
    )
    assert sorted(ended.files) == ["a", "b"]
    assert sorted(one.path for one in ended.refused) == ["0", "c", "d", "e", "f"]


def test_output_is_kept_up_to_the_limit_and_counted_in_full(sandbox: Sandbox):
    ended = run(
        sandbox,
        """
        import os, sys
        for _ in range(500):
            os.write(1, b"o" * 10_000)
            os.write(2, b"e" * 1_000)
        """,
        output_bytes=12_345,
    )
    assert ended.stdout == b"o" * 12_345
    assert ended.stderr == b"e" * 12_345
    assert (ended.stdout_bytes, ended.stderr_bytes) == (5_000_000, 500_000)
    assert ended.verdict == ExitReason.OK


def test_what_was_printed_before_a_kill_is_kept(sandbox: Sandbox):
    ended = run(sandbox, "print('so far'); import time; time.sleep(600)", wall_seconds=2.0)
    assert (ended.verdict, ended.exit_code) == (ExitReason.TIMEOUT, None)
    assert ended.stdout == b"so far\n"


# --- limits ------------------------------------------------------------------------------------


def test_processor_time(sandbox: Sandbox):
    assert run(sandbox, "while True: pass", cpu_seconds=1).verdict == ExitReason.TIMEOUT


def test_processor_time_of_all_processes_counts(sandbox: Sandbox):
    ended = run(
        sandbox,
        """
        import os, time
        for _ in range(100):
            if os.fork() == 0:
                end = time.process_time() + 0.2
                while time.process_time() < end: pass
                os._exit(0)
            os.wait()
        """,
        cpu_seconds=2,
    )
    assert ended.verdict == ExitReason.TIMEOUT


def test_memory_of_one_process(sandbox: Sandbox):
    program = "kept = []\nwhile True: kept.append(b'x' * 2**20)"
    assert run(sandbox, program).verdict == ExitReason.MEMORY


def test_memory_of_many_processes(sandbox: Sandbox):
    ended = run(
        sandbox,
        """
        import os, time
        for _ in range(10):
            if os.fork() == 0:
                kept = bytearray(os.urandom(1)) * (60 * 2**20)
                time.sleep(600)
        time.sleep(600)
        """,
    )
    assert ended.verdict == ExitReason.MEMORY
    assert ended.peak_memory_bytes > 200 * 2**20


@pytest.mark.parametrize("folder", [".", "TMPDIR", "/dev/shm"])
def test_bytes_of_the_scratch_folders(sandbox: Sandbox, folder: str):
    ended = run(
        sandbox,
        """
        import os, sys
        folder = os.environ.get(sys.argv[1], sys.argv[1])
        for at in range(1000):
            with open(os.path.join(folder, str(at)), "wb") as file:
                file.write(b"x" * 2**20)
        """,
        folder,
        harvest_bytes=2**20,
    )
    assert ended.verdict == ExitReason.DISK


def test_number_of_files_in_the_scratch_folder(sandbox: Sandbox):
    program = "for at in range(10**6): open(str(at), 'w').close()"
    assert run(sandbox, program, scratch_files=300).verdict == ExitReason.DISK


def test_size_of_one_file(sandbox: Sandbox):
    ended = run(sandbox, "open('f', 'wb').write(b'x' * 2**20)", file_bytes=2**19)
    assert ended.verdict == ExitReason.EXIT
    assert "File too large" in ended.stderr.decode()


def test_number_of_processes(sandbox: Sandbox):
    ended = run(
        sandbox,
        """
        import os, time
        made = 0
        try:
            while True:
                if os.fork() == 0:
                    time.sleep(600)
                made += 1
        except BlockingIOError:
            print(made)
        """,
        processes=20,
    )
    assert 10 <= int(said(ended)) <= 20


def test_number_of_open_files(sandbox: Sandbox):
    ended = run(
        sandbox,
        """
        kept = []
        try:
            while True: kept.append(open("/dev/null"))
        except OSError:
            print(len(kept))
        """,
        open_files=50,
    )
    assert int(said(ended)) <= 50


def test_what_was_used_is_told(sandbox: Sandbox):
    ended = run(
        sandbox,
        """
        import time
        kept = b"x" * (80 * 2**20)
        while time.process_time() < 0.3: pass
        time.sleep(0.3)
        """,
    )
    assert said(ended) == ""
    assert 0.3 <= ended.cpu_seconds <= ended.wall_seconds + 1.0
    assert ended.wall_seconds >= 0.6
    assert 80 * 2**20 <= ended.peak_memory_bytes <= SMALL.memory_bytes
