# claim: holds the kernel up at will with userfaultfd
# expect: ok
import os

from attack import attempt, syscall

for flags in (0, 1, os.O_CLOEXEC | os.O_NONBLOCK, 1 | os.O_CLOEXEC):
    attempt(f"flags {flags}", syscall, "userfaultfd", flags)
