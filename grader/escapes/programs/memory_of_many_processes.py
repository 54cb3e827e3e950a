# claim: takes more memory than allowed in many processes together
# expect: memory exit signal
import os
import time

from attack import MIB, T, escaped, say

share = T["memory"] // 8
made = []
ready, done = os.pipe()
for _ in range(16):
    try:
        pid = os.fork()
    except OSError as error:
        say(f"stopped: at {len(made)}: {error}")
        break
    if pid == 0:
        block = bytearray(os.urandom(4096) * (share // 4096))
        os.write(done, b"1")
        time.sleep(3600)
        os._exit(len(block) % 7)
    made.append(pid)
end = time.monotonic() + 2
os.set_blocking(ready, False)
count = 0
while time.monotonic() < end and count < 16:
    try:
        count += len(os.read(ready, 16))
    except BlockingIOError:
        pass
if count >= 12:
    escaped(f"{count * share // MIB} MiB of memory in {count} processes")
raise SystemExit(1)
