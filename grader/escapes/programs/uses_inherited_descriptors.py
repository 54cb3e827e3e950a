# claim: finds an open file, folder, socket or pipe that the launcher forgot
# expect: ok
import os
import socket

from attack import attempt, escaped

for number in range(3, 1024):
    try:
        link = os.readlink(f"/proc/self/fd/{number}")
    except OSError:
        continue
    if not os.path.exists(f"/proc/self/fd/{number}") and "proc" in link:
        continue  # the listing's own
    escaped(f"descriptor {number} is open: {link}")
    if link.startswith("socket:"):
        held = socket.socket(fileno=os.dup(number))
        attempt("says something on it", held.sendall, b'{"verdict": "ok"}\n')
    elif os.path.isdir(f"/proc/self/fd/{number}"):
        attempt("goes up from it", os.listdir, f"/proc/self/fd/{number}/../../..")
for number in (0, 1, 2):
    link = os.readlink(f"/proc/self/fd/{number}")
    print(number, link)
    if link.startswith("/") and link != "/dev/null":
        escaped(f"descriptor {number} is the file {link}")
    if link.startswith("socket:"):
        escaped(f"descriptor {number} is a socket, over which descriptors could travel")
