# claim: starts processes until the machine has no more
# expect: ok exit signal timeout memory
import os
import time

from attack import T, escaped, say

most = T["processes"]
made = 0
while made < 2 * most:
    try:
        pid = os.fork()
    except OSError as error:
        say(f"stopped: at {made}: {error}")
        break
    if pid == 0:
        time.sleep(100)
        os._exit(0)
    made += 1
if made > most:
    escaped(f"{made} processes where {most} are allowed")
