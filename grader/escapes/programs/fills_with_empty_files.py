# claim: makes empty files until no more can be made
# expect: ok exit disk memory timeout
import os

from attack import T, escaped, say

made = 0
try:
    for folder in range(40):
        os.mkdir(f"d{folder}")
        for number in range(500):
            os.close(os.open(f"d{folder}/{number}", os.O_CREAT | os.O_WRONLY))
            made += 1
        if made > 10 * T["inodes"]:
            escaped(f"{made} files")
            break
except OSError as error:
    say(f"stopped: after {made}: {error}")
