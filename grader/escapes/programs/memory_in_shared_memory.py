# claim: fills /dev/shm
# expect: ok exit disk memory signal
from attack import MIB, T, escaped, say

written = 0
try:
    for number in range(1000):
        with open(f"/dev/shm/x{number}", "wb", buffering=0) as file:
            for _ in range(4):
                written += file.write(b"x" * MIB)
        if written > 2 * T["memory"]:
            escaped(f"{written // MIB} MiB in shared memory")
            break
except OSError as error:
    say(f"stopped: after {written // MIB} MiB: {error}")
