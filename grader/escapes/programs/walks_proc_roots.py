# claim: leaves through another process's root, folder or program file
# expect: ok
import os

from attack import T, attempt, escaped, pids, secret_in

ours = os.stat("/")
for pid in {*pids(), 1, os.getppid(), T["grader"], T["decoy"]}:
    for link in ("root", "cwd", "exe", "map_files", "ns", "task"):
        path = f"/proc/{pid}/{link}"
        try:
            found = os.stat(path + ("/" if link in ("root", "cwd") else ""))
        except OSError as error:
            print("stopped:", path, error)
            continue
        if link == "root" and (found.st_dev, found.st_ino) != (ours.st_dev, ours.st_ino):
            escaped(f"another root than ours: {path}")
    for path in T["files"]:
        attempt(path, secret_in, f"/proc/{pid}/root{path}")
