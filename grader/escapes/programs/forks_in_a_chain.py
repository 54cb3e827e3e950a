# claim: runs away from whoever kills it, by a new process at every moment
# expect: ok
import os
import time

from attack import say

say("off")
if os.fork() == 0:
    os.setsid()
    end = time.monotonic() + 2
    while time.monotonic() < end:
        try:
            if os.fork():
                os._exit(0)
        except OSError:
            continue
    os._exit(0)
