# claim: kills the grader, its neighbours and everything else
# expect: ok exit signal
import os
import signal

from attack import T, attempt, escaped, pids, say

attempt("signals the grader", os.kill, T["grader"], 0)
attempt("signals a process of the grader", os.kill, T["decoy"], 0)
groups = {0}
try:
    groups |= {os.getpgid(T["grader"]), os.getsid(T["grader"])}
except OSError:
    pass  # out of sight
if os.getpgrp() in groups or os.getsid(0) in groups:
    escaped("shares a session or a process group with the grader")
reachable = []
for pid in pids():
    try:
        os.kill(pid, 0)
        reachable.append(pid)
    except OSError:
        pass
say(f"in reach: {reachable}")
if len(reachable) > 12 or (T["grader"] in reachable and T["isolation"] == "reduced"):
    escaped("processes of others can be signalled")  # and are spared
else:
    for kind in (signal.SIGSTOP, signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
        for pid in (1, os.getppid()):
            if pid in reachable:
                attempt("it is no more", lambda pid=pid, kind=kind: (os.kill(pid, kind), False)[1])
    attempt("all", lambda: (os.kill(-1, signal.SIGKILL), False)[1])
    os.kill(0, signal.SIGKILL)
