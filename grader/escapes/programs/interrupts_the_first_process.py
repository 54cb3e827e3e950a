# claim: ends the process that reports how it ended, so that its failure looks like ours
# expect: exit
# code: 4
# isolation: full
import os
import signal
import time

from attack import attempt

for pid in {1, os.getppid()}:
    for kind in range(1, 65):
        if kind not in (signal.SIGSTOP, signal.SIGKILL):
            attempt(f"{kind} to {pid}", lambda pid=pid, kind=kind: (os.kill(pid, kind), False)[1])
time.sleep(1)
os._exit(4)
