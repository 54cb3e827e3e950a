# claim: takes memory, files and processors from the process that reports how it ended
# expect: exit
# code: 4
# isolation: full
import os
import resource

from attack import attempt, say

# The first process is the program's own user: the kernel lets it set its limits.
for pid in {1, os.getppid()}:
    for name in ("CPU", "FSIZE", "DATA", "STACK", "NPROC", "NOFILE", "MEMLOCK", "AS", "SIGPENDING"):
        kind = getattr(resource, f"RLIMIT_{name}")
        attempt(name, lambda pid=pid, kind=kind: (resource.prlimit(pid, kind, (0, 0)), False)[1])
    attempt("last in line", lambda pid=pid: (os.setpriority(os.PRIO_PROCESS, pid, 19), False)[1])
    attempt("only when idle", lambda pid=pid: (
        os.sched_setscheduler(pid, os.SCHED_IDLE, os.sched_param(0)), False
    )[1])  # fmt: skip
for _ in range(20):
    pid = os.fork()
    if pid == 0:
        if os.fork() == 0:
            os._exit(1)
        os._exit(0)
    os.waitpid(pid, 0)
say("ends")
os._exit(4)
