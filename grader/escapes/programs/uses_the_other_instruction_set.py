# claim: goes around the filter of system calls by the numbers of another architecture
# expect: ok
import ctypes
import mmap
import os
import platform

from attack import attempt, raw_syscall, say

X32 = 0x40000000


def by_interrupt(number, first):
    # mov eax, number; mov ebx, first; int 0x80; with rbx kept for the caller.
    code = b"\x53\xb8" + number.to_bytes(4, "little") + b"\xbb" + first.to_bytes(4, "little")
    code += b"\x31\xc9\x31\xd2\x31\xf6\xcd\x80\x5b\xc3"
    page = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    page.write(code)
    call = ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(page)))
    result = call()
    if result < 0:
        raise OSError(-result, "from the kernel")
    return result


def in_a_child(what, function, *arguments):
    # A filter may kill who does this.
    pid = os.fork()
    if pid == 0:
        attempt(what, function, *arguments)
        os._exit(0)
    _, status = os.waitpid(pid, 0)
    if status:
        say(f"stopped: {what}: the child ended with {status}")


if platform.machine() == "x86_64":
    for name, number, arguments in (
        ("unshare", 272, (0x10000000,)), ("ptrace", 521, (0, 0, 0, 0)), ("keyctl", 250, (0, -3, 1)),
        ("bpf", 321, (0, None, 0)), ("socket", 41, (40, 1, 0)), ("io_uring", 425, (8, None)),
    ):  # fmt: skip
        in_a_child(f"x32 {name}", raw_syscall, number | X32, *arguments)
    for name, number, first in (
        ("unshare", 310, 0x10000000), ("io_uring_setup", 425, 8), ("memfd_create", 356, 0),
        ("userfaultfd", 374, 1), ("keyctl", 288, 0), ("getpid", 20, 0), ("chroot", 61, 0),
    ):  # fmt: skip
        in_a_child(f"as 32 bit: {name}", by_interrupt, number, first)
else:
    say("stopped: this machine has one set of numbers")
