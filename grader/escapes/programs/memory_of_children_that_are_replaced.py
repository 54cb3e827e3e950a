# claim: takes memory in a child whenever the last one was killed
# expect: memory exit signal timeout
import os

from attack import MIB, T, say

for turn in range(20):
    pid = os.fork()
    if pid == 0:
        held = [bytearray(b"x" * (8 * MIB)) for _ in range(2 * T["memory"] // (8 * MIB))]
        os.write(1, b"ESCAPED: all of the memory\n")
        os._exit(len(held) % 5)
    _, status = os.waitpid(pid, 0)
    say(f"turn {turn}: {status}")
raise SystemExit(1)
