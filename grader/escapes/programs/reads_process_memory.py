# claim: reads and writes the memory of other processes
# expect: ok
import ctypes
import os

from attack import T, attempt, pids, read, syscall


class Part(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("length", ctypes.c_size_t)]


buffer = ctypes.create_string_buffer(64)
mine = Part(ctypes.cast(buffer, ctypes.c_void_p), 64)
for pid in {*pids(), 1, os.getppid(), T["grader"], T["decoy"]} - {os.getpid()}:
    try:
        start = int(read(f"/proc/{pid}/maps").split(b"-")[0] or b"400000", 16)
    except OSError as error:
        print("stopped: maps of", pid, error)
        start = 0x400000
    theirs = Part(start, 64)
    for name in ("process_vm_readv", "process_vm_writev"):
        attempt(f"{name} {pid}", syscall, name, pid, ctypes.byref(mine), 1,
                ctypes.byref(theirs), 1, 0)  # fmt: skip
    attempt(f"kcmp {pid}", syscall, "kcmp", os.getpid(), pid, 0, 0, 0)

    def through_proc(pid=pid, start=start):
        with open(f"/proc/{pid}/mem", "r+b", buffering=0) as memory:
            memory.seek(start)
            return memory.read(16)

    attempt(f"/proc/{pid}/mem", through_proc)
