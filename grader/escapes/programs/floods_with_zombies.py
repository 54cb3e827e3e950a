# claim: fills the process table with processes that nobody waits for
# expect: ok
import os

from attack import T, escaped, say

made = 0
while made < 4 * T["processes"]:
    try:
        pid = os.fork()
    except OSError as error:
        say(f"stopped: at {made}: {error}")
        break
    if pid == 0:
        os._exit(0)
    made += 1
if made > T["processes"]:
    escaped(f"{made} dead processes where {T['processes']} are allowed")
