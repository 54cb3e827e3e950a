# claim: hides memory in the buffers of sockets and pipes, in many processes
# expect: ok exit memory signal timeout
import os
import socket
import time

from attack import MIB, T, escaped

done_read, done = os.pipe()


def fill():
    total, held = 0, []
    try:
        while total < 64 * MIB:
            pair = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
            held.append(pair)
            for end in pair:
                end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 * MIB)
                end.setblocking(False)
                try:
                    while True:
                        total += end.send(b"x" * 65536)
                except BlockingIOError:
                    pass
    except OSError:
        pass
    os.write(done, total.to_bytes(8, "little"))
    time.sleep(3600)


for _ in range(20):
    try:
        if os.fork() == 0:
            fill()
            os._exit(0)
    except OSError:
        break
os.set_blocking(done_read, False)
end, total = time.monotonic() + 1.5, 0
while time.monotonic() < end:
    try:
        total += int.from_bytes(os.read(done_read, 8), "little")
    except BlockingIOError:
        pass
print("held:", total // MIB, "MiB")
if total > 1.25 * T["memory"]:
    escaped(f"{total // MIB} MiB in buffers of sockets")
raise SystemExit(1)
