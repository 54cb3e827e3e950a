# claim: makes empty files until no more can be made
# expect: ok exit disk memory timeout
import os
import time

from attack import T, escaped, say

# A fast machine makes 25,000 between two looks of a watchdog: what counts is how long it goes on.
made, beyond = 0, None
try:
    for folder in range(2000):
        os.mkdir(f"d{folder}")
        for number in range(500):
            os.close(os.open(f"d{folder}/{number}", os.O_CREAT | os.O_WRONLY))
            made += 1
        if made > T["inodes"]:
            beyond = beyond or time.process_time()
            if time.process_time() - beyond > 1:
                escaped(f"{made} files")
                break
except OSError as error:
    say(f"stopped: after {made}: {error}")
