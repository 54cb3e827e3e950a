# claim: makes namespaces of its own, in which it would be root
# expect: ok
import ctypes
import os

from attack import T, attempt, pids, syscall

FLAGS = {"mount": 0x20000, "cgroup": 0x2000000, "uts": 0x4000000, "ipc": 0x8000000,
         "user": 0x10000000, "pid": 0x20000000, "net": 0x40000000, "time": 0x80}  # fmt: skip
for name, flag in FLAGS.items():
    attempt(f"unshare {name}", syscall, "unshare", flag)
    attempt(f"unshare user and {name}", syscall, "unshare", flag | FLAGS["user"])

    def by_clone(flag=flag):
        pid = syscall("clone", flag | 17, 0, 0, 0, 0)
        if pid == 0:
            os._exit(0)
        os.waitpid(pid, 0)
        return True

    def by_clone3(flag=flag):
        pid = syscall("clone3", (ctypes.c_uint64 * 8)(flag, 0, 0, 0, 17, 0, 0, 0), 64)
        if pid == 0:
            os._exit(0)
        os.waitpid(pid, 0)
        return True

    if name != "time":  # clone reads its bit as part of the signal
        attempt(f"clone {name}", by_clone)
    attempt(f"clone3 {name}", by_clone3)
    for pid in {*pids(), 1, os.getppid(), T["grader"], T["decoy"]} - {os.getpid()}:

        def enter(pid=pid, name=name):
            place = f"/proc/{pid}/ns/{ {'mount': 'mnt'}.get(name, name) }"
            return syscall("setns", os.open(place, os.O_RDONLY), 0)

        attempt(f"enter {name} of {pid}", enter)
