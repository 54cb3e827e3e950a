# claim: closes its output and goes on unseen
# expect: timeout
# limits: wall_seconds=1
import os
import time

from attack import say

say("now out of sight")
for number in range(3):
    os.close(number)
while True:
    time.sleep(1000)
