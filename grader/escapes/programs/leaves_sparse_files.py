# claim: leaves files that claim to be far larger than they are
# expect: ok exit signal disk
import os
import signal

from attack import MIB, attempt

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
for size in (1 << 44, 1 << 40, 1 << 33):

    def claim(size=size):
        with open("huge", "wb") as file:
            os.truncate(file.fileno(), size)

    attempt(f"{size} bytes", claim)
for number in range(60):
    with open(f"sparse{number:03}", "wb") as file:
        try:
            os.truncate(file.fileno(), 7 * MIB)
        except OSError as error:
            print("stopped:", error)
            break
print(os.listdir("."))
