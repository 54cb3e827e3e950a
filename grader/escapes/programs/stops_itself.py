# claim: stops itself, so that it neither runs nor ends
# expect: timeout
# limits: wall_seconds=1
import os
import signal

from attack import say

say("stops")
while True:
    os.kill(os.getpid(), signal.SIGSTOP)
