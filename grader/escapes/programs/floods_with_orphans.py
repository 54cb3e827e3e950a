# claim: leaves hundreds of processes to the sandbox's first one
# expect: ok
import os
import time

from attack import T, say

made = 0
end = time.monotonic() + 1
while made < 10 * T["processes"] and time.monotonic() < end:
    try:
        pid = os.fork()
    except OSError:
        time.sleep(0.3)
        continue
    if pid == 0:
        try:
            if os.fork() == 0:
                time.sleep(1)
        finally:
            os._exit(0)
    os.waitpid(pid, 0)
    made += 1
say(f"left {made}")
