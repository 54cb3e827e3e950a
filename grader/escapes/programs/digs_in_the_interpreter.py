# claim: finds what started it inside its own interpreter: paths, sockets, instructions
# expect: ok
import faulthandler
import gc
import os
import re
import socket
import sys

from attack import PREFIX, T, escaped, find_secret, read

base = T["base"]
faulthandler.dump_traceback()
frame = sys._getframe()
while frame:
    print("frame:", frame.f_code.co_filename, frame.f_code.co_name, sorted(frame.f_locals)[:20])
    for name, value in list(frame.f_locals.items()):
        if name not in ("T", "base") and base in repr(value)[:100_000]:
            escaped(f"{name} of {frame.f_code.co_name} tells of the grader's folders")
    frame = frame.f_back
for one in gc.get_objects():
    if isinstance(one, socket.socket) and one.fileno() >= 0:
        escaped(f"a socket of the start is open: {one}")
    if isinstance(one, dict) and one is not T and one is not globals():
        for key, value in list(one.items()):
            if isinstance(value, (str, bytes)) and value not in (base, PREFIX):
                content = value if isinstance(value, bytes) else value.encode(errors="replace")
                if len(content) > 30 and find_secret(content):
                    escaped(f"a secret under {key!r}")
known = base.encode()
for line in read("/proc/self/maps", 1 << 20).splitlines():
    if b"[heap]" not in line:
        continue
    start, end = (int(part, 16) for part in line.split()[0].split(b"-"))
    with open("/proc/self/mem", "rb", buffering=0) as memory:
        memory.seek(start)
        heap = memory.read(min(end - start, 64 << 20))
    # With what comes after, or this text would find itself.
    for place in re.finditer(b"/submissions-" + PREFIX + b"[0-9a-f]{24}", heap):
        escaped(f"the heap remembers {place[0]!r}")
print(sys.argv, sys.path, sys.flags, known)
