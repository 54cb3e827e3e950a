# claim: takes a descriptor out of another process
# expect: ok
import os

from attack import T, attempt, pids, syscall

for pid in {*pids(), 1, os.getppid(), T["grader"], T["decoy"]} - {os.getpid()}:
    try:
        handle = syscall("pidfd_open", pid, 0)
    except OSError as error:
        print("stopped: pidfd of", pid, error)
        continue
    for number in range(12):
        attempt(f"{number} of {pid}", syscall, "pidfd_getfd", handle, number, 0)
    attempt("advises its memory", syscall, "process_madvise", handle, 0, 0, 4, 0)
    os.close(handle)
