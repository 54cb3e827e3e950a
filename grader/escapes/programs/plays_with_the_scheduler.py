# claim: gives itself precedence over the grader and its neighbours
# expect: ok
import ctypes
import os

from attack import T, attempt, escaped, syscall

for policy in (os.SCHED_FIFO, os.SCHED_RR):
    attempt(f"policy {policy}", os.sched_setscheduler, 0, policy, os.sched_param(50))
before = os.getpriority(os.PRIO_PROCESS, 0)
for value in (-20, -1):
    attempt(f"nice {value}", lambda value=value: os.nice(value) < before)
    attempt("priority", lambda v=value: (os.setpriority(os.PRIO_PROCESS, 0, v), os.getpriority(
        os.PRIO_PROCESS, 0) < before)[1])  # fmt: skip
attempt("disk", syscall, "ioprio_set", 1, 0, 1 << 13)
deadline = (ctypes.c_uint64 * 7)(56 | 6 << 32, 0, 0, 10**7, 3 * 10**7, 3 * 10**7, 0)
attempt("deadline", syscall, "sched_setattr", 0, deadline, 0)
for pid in (T["grader"], T["decoy"]):
    attempt(f"slows {pid}", os.setpriority, os.PRIO_PROCESS, pid, 19)
    attempt(f"binds {pid}", os.sched_setaffinity, pid, {0})
if os.getpriority(os.PRIO_PROCESS, 0) < before:
    escaped("it comes before others now")
