# claim: uses up what the kernel counts for a user and not for a process, so that others have none
# expect: ok
import ctypes
import os
import time

from attack import escaped, read, say

# All runs may share one user of the machine, and a grader that is not root lends its own.
libc = ctypes.CDLL(None, use_errno=True)
most = int(read("/proc/sys/fs/inotify/max_user_instances"))
done_read, done = os.pipe()
for _ in range(10):
    try:
        pid = os.fork()
    except OSError:
        break
    if pid == 0:
        taken = 0
        while taken < 100 and libc.inotify_init() >= 0:
            taken += 1
        os.write(done, bytes([taken]))
        os.close(done)
        time.sleep(6)  # by the faster clock
        os._exit(0)
os.close(done)
taken = sum(b"".join(iter(lambda: os.read(done_read, 100), b"")))
say(f"has {taken} of {most}")
if taken > most // 2:
    escaped(f"{taken} of the {most} watches that the machine has for a user")
