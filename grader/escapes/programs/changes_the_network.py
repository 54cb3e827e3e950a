# claim: reads and changes routes, addresses and packet rules
# expect: ok exit
import fcntl
import socket
import struct

from attack import attempt

NETLINK, PACKET = 16, 17
for protocol in (0, 2, 4, 6, 9, 12, 15, 16, 20):
    attempt(f"netlink {protocol}", lambda p=protocol: socket.socket(NETLINK, 3, p).fileno())
attempt("packets", lambda: socket.socket(PACKET, 3, socket.htons(3)).fileno())
attempt("raw", lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, 1).fileno())
one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
up = struct.pack("16sH14x", b"lo", 0x0)
attempt("takes loopback down", fcntl.ioctl, one, 0x8914, up)
address = struct.pack("16sH2x4s8x", b"lo", socket.AF_INET, socket.inet_aton("10.1.2.3"))
attempt("another address", fcntl.ioctl, one, 0x8916, address)
attempt("route", fcntl.ioctl, one, 0x890B, b"\0" * 120)
attempt("low port", lambda: socket.socket().bind(("127.0.0.1", 80)))
attempt("transparent", lambda: one.setsockopt(0, 19, 1))
attempt("mark", lambda: one.setsockopt(1, 36, 1))
attempt("receive buffer", lambda: one.setsockopt(1, 33, 1 << 30))
