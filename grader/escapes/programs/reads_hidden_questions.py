# claim: reads the hidden questions and their answers
# expect: ok
import os

from attack import T, attempt, secret_in

path = T["hidden"]
up = "/".join([".."] * 40)
for front in ("", "/proc/self/root", "/proc/1/root", "/proc/self/cwd/" + up, "/box/" + up):
    attempt(front + path, secret_in, front + path)
for pid in (1, os.getppid(), T["grader"], T["decoy"]):
    attempt(f"root of {pid}", secret_in, f"/proc/{pid}/root{path}")
    attempt(f"folder of {pid}", secret_in, f"/proc/{pid}/cwd/{up}{path}")
attempt("list", os.listdir, os.path.dirname(path))
attempt("through a link", lambda: (os.symlink(path, "q"), secret_in("q"))[1])
attempt("through a hard link", lambda: (os.link(path, "h"), secret_in("h"))[1])
