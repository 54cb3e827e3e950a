# claim: hides memory in files that lie in no folder
# expect: ok memory exit signal
import os

from attack import MIB, T, attempt, escaped, say, syscall

attempt("secret memory", lambda: syscall("memfd_secret", 0) < 0)
written = 0
try:
    for _ in range(100):
        held = os.memfd_create("x")
        for _ in range(4):
            written += os.write(held, b"x" * MIB)
        if written > 2 * T["memory"]:
            escaped(f"{written // MIB} MiB outside of every limit")
            break
except OSError as error:
    say(f"stopped: after {written // MIB} MiB: {error}")
