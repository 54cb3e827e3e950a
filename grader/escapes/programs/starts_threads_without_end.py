# claim: starts threads until the machine has no more
# expect: ok exit memory
import threading
import time

from attack import T, escaped, say

threading.stack_size(64 * 1024)
made = 0
while made < 2 * T["processes"]:
    try:
        threading.Thread(target=time.sleep, args=(3600,), daemon=True).start()
    except RuntimeError as error:
        say(f"stopped: at {made}: {error}")
        break
    made += 1
if made > T["processes"]:
    escaped(f"{made} threads where {T['processes']} are allowed")
