# claim: talks to services of the machine over Unix sockets, with and without a path
# expect: ok
import glob
import os
import socket

from attack import FULL, T, attempt, escaped

paths = [T["unix"], "/proc/self/root" + T["unix"], "/run/docker.sock", "/var/run/docker.sock",
         "/run/containerd/containerd.sock", "/run/podman/podman.sock",
         "/run/dbus/system_bus_socket", "/run/systemd/private", "/run/systemd/notify",
         "/dev/log", "/run/systemd/journal/socket", "/tmp/.X11-unix/X0", "/run/snapd.socket",
         *glob.glob("/run/user/*/bus"), *glob.glob("/tmp/ssh-*/agent*"),
         "\0" + T["abstract"], "\0/tmp/.X11-unix/X0", "\0/tmp/dbus"]  # fmt: skip
with open("/proc/net/unix") as file:
    others = {line.split()[7] for line in file.readlines()[1:] if len(line.split()) > 7}
print("in sight:", len(others))
if T["abstract"] in "".join(others):
    if FULL:
        escaped("the machine's Unix sockets are in sight")
    others = set()  # they are other people's
for path in [*paths, *(other.replace("@", "\0", 1) for other in sorted(others))]:
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_SEQPACKET):
        attempt(repr(path), lambda p=path, k=kind: socket.socket(socket.AF_UNIX, k).connect(p))
attempt("long way", lambda: (os.symlink(os.path.dirname(T["unix"]), "s"),
                             socket.socket(socket.AF_UNIX).connect("s/socket"))[1])  # fmt: skip
