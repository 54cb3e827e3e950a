# claim: reads the environment of the grader, of the launcher and of every other process
# expect: ok
import os
import subprocess

from attack import T, attempt, find_secret, pids, read

everything = "\n".join(f"{key}={value}" for key, value in os.environ.items()).encode()
attempt("own", find_secret, everything)
attempt("own, at the start", lambda: find_secret(read("/proc/self/environ")))
for pid in {*pids(), 1, 2, os.getppid(), T["grader"], T["decoy"]}:
    attempt(f"of {pid}", lambda pid=pid: find_secret(read(f"/proc/{pid}/environ")))
    attempt(f"of {pid}, by thread", lambda pid=pid: find_secret(
        read(f"/proc/{pid}/task/{pid}/environ")
    ))  # fmt: skip
attempt("of a child", lambda: find_secret(subprocess.check_output(["/usr/bin/env"])))
for name in ("SSH_AUTH_SOCK", "AWS_SECRET_ACCESS_KEY", "GITHUB_TOKEN", "SUDO_USER",
             "VIRTUAL_ENV", "PYTHONSTARTUP", "LD_PRELOAD"):  # fmt: skip
    attempt(name, os.environ.get, name, "")
