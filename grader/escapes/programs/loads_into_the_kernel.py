# claim: loads programs and modules into the kernel, or measures other processes with it
# expect: ok
import ctypes

from attack import attempt, syscall

attributes = (ctypes.c_uint64 * 16)(2, 4, 8, 1)
for command in (0, 5, 11, 13, 18):
    attempt(f"bpf {command}", syscall, "bpf", command, attributes, 128)
event = (ctypes.c_uint64 * 16)(1 | 128 << 32)
for pid, processor in ((0, -1), (-1, 0), (1, -1)):
    attempt("measures", syscall, "perf_event_open", event, pid, processor, -1, 0)
attempt("module", syscall, "init_module", None, 0, b"")
attempt("module from a file", syscall, "finit_module", 0, b"", 0)
attempt("takes a module out", syscall, "delete_module", b"fg_no_such_module", 0x800)
