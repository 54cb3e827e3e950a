# claim: uses every processor for ever, in many processes
# expect: timeout exit signal
# limits: cpu_seconds=1 wall_seconds=2
import os

for _ in range(8):
    try:
        if os.fork() == 0:
            break
    except OSError:
        break
while True:
    pass
