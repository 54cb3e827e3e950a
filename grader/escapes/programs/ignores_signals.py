# claim: goes on for ever and ignores every signal that it can
# expect: timeout
# limits: wall_seconds=1
import signal

from attack import say

for kind in range(1, 65):
    try:
        signal.signal(kind, signal.SIG_IGN)
    except (OSError, ValueError):
        pass
say("waits")
while True:
    signal.pause()
