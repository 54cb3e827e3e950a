# claim: makes the grader wait for output that a left-over process never ends
# expect: ok
import os
import time

from attack import say

say("the program ends, its child keeps the pipes")
if os.fork() == 0:
    os.setsid()
    end = time.monotonic() + 20
    while time.monotonic() < end:
        time.sleep(30)
    os._exit(0)
