# claim: becomes root, or another user, or gains a capability
# expect: ok
import ctypes
import glob
import os
import stat
import subprocess

from attack import FULL, T, attempt, escaped, read, syscall

status = dict(
    line.split(b":\t", 1) for line in read("/proc/self/status").splitlines() if b"\t" in line
)
# Who is not root cannot give up the bound; without new privileges it means nothing.
bound = (b"CapBnd",) if FULL else ()
for name in (b"CapInh", b"CapPrm", b"CapEff", b"CapAmb", *bound):
    if int(status[name], 16):
        escaped(f"{name.decode()} is {status[name].decode()}")
for name, wanted in ((b"NoNewPrivs", b"1"), (b"Seccomp", b"2")):
    if status[name].strip() != wanted:
        escaped(f"{name.decode()} is {status[name].decode()}")
if not os.getuid() or not os.geteuid():
    escaped("it is root")
for function in (os.setuid, os.setgid, os.seteuid, os.setegid):
    attempt(function.__name__, function, 0)
attempt("all", os.setresuid, 0, 0, 0)
attempt("groups", os.setgroups, [0, 4, 6, 27])
attempt("capabilities", syscall, "capset", (ctypes.c_uint32 * 2)(0x20080522, 0),
        (ctypes.c_uint32 * 6)(*[0xFFFFFFFF] * 6))  # fmt: skip
if T["uid"] == 0 and os.getgroups() and 0 in os.getgroups():
    escaped(f"it is in root's groups: {os.getgroups()}")
for path in glob.glob("/usr/bin/*") + glob.glob("/usr/sbin/*") + glob.glob("/usr/lib/*/*"):
    if os.path.isfile(path) and os.stat(path).st_mode & stat.S_ISUID:
        print("with the user bit:", path)
for command in (["su", "-c", "id -u"], ["sudo", "-n", "id", "-u"], ["pkexec", "id", "-u"],
                ["newgrp", "root"], ["mount", "-t", "tmpfs", "x", "/box"]):  # fmt: skip
    attempt(" ".join(command), lambda command=command: subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, timeout=1
    ).stdout.strip() == b"0")  # fmt: skip
