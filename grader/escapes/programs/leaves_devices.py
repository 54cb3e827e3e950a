# claim: makes device nodes: a disk, memory, an endless source of zeros
# expect: ok
import os
import stat

from attack import attempt, syscall

for name, major, minor in (("zero", 1, 5), ("mem", 1, 1), ("disk", 8, 0), ("null", 1, 3),
                           ("random", 1, 8), ("tty", 5, 0), ("loop", 7, 0)):  # fmt: skip
    for kind in (stat.S_IFCHR, stat.S_IFBLK):
        device = os.makedev(major, minor)
        attempt(name, os.mknod, f"{name}{kind}", kind | 0o666, device)
        attempt(name, syscall, "mknodat", -100, f"{name}x{kind}".encode(), kind | 0o666, device)
        attempt(name, os.mknod, f"/tmp/{name}{kind}", kind | 0o666, device)
        attempt(name, os.mknod, f"/dev/{name}{kind}x", kind | 0o666, device)
