# claim: leaves a tree so deep that whoever walks it falls
# expect: ok exit disk memory timeout
import os

from attack import say

depth = 0
try:
    for _ in range(1400):
        os.mkdir("d" * 100)
        os.chdir("d" * 100)
        depth += 1
    with open("at-the-bottom.txt", "w") as file:
        file.write("deep")
except OSError as error:
    say(f"stopped: at {depth}: {error}")
say(f"depth {depth}")
