# claim: makes its time stand still, so that it never ends
# expect: timeout
# limits: wall_seconds=1
import time

from attack import say

for name in ("monotonic", "time", "perf_counter", "process_time", "sleep"):
    setattr(time, name, lambda *arguments: 0.0)
say("time stands still")
while time.monotonic() < 1:
    time.sleep(1)
