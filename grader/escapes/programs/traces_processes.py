# claim: takes over the sandbox's first process, its parent or the grader by ptrace
# expect: ok
import os
import time

from attack import T, attempt, pids, syscall

ATTACH, SEIZE, TRACEME, PEEKDATA = 16, 0x4206, 0, 2
child = os.fork()
if child == 0:
    time.sleep(20)
    os._exit(0)
for pid in {*pids(), 1, os.getppid(), T["grader"], T["decoy"], child} - {os.getpid()}:
    attempt(f"seize {pid}", syscall, "ptrace", SEIZE, pid, 0, 0)
    attempt(f"peek {pid}", syscall, "ptrace", PEEKDATA, pid, 0x400000, 0)
    attempt(f"attach {pid}", syscall, "ptrace", ATTACH, pid, 0, 0)
attempt("be traced", syscall, "ptrace", TRACEME, 0, 0, 0)
os.kill(child, 9)
