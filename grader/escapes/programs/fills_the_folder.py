# claim: fills the disk with a large file and many of them
# expect: ok exit disk memory signal
# isolation: full
# limits: file_bytes=67108864
import os

from attack import MIB, T, escaped, say

written = 0
try:
    for number in range(200):
        with open(f"x{number}", "wb", buffering=0) as file:
            for _ in range(2):
                written += file.write(b"x" * MIB)
        if written > 2 * T["scratch"]:
            escaped(f"{written // MIB} MiB on the disk")
            break
except OSError as error:
    say(f"stopped: after {written // MIB} MiB: {error}")
    os.unlink("x0")
