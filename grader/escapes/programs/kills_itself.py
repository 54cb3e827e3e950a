# claim: dies by a signal as if the grader had killed it
# expect: signal
import os
import signal

from attack import say

say("dies")
os.kill(os.getpid(), signal.SIGKILL)
