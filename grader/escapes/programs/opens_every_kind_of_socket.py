# claim: opens sockets of families that know no network namespace, or reach the kernel
# expect: ok
import socket

from attack import attempt

UNIX, INET, INET6 = 1, 2, 10
for family in range(64):
    for kind in (1, 2, 3, 4, 5, 10):
        if family in (UNIX, INET, INET6) and kind in (1, 2, 4, 5):
            continue
        if family == UNIX and kind == 3:
            continue  # a datagram socket by another name
        attempt(
            f"family {family} kind {kind}", lambda f=family, k=kind: socket.socket(f, k).fileno()
        )
for protocol in (1, 6, 17, 41, 47, 58, 132, 255, 262):
    for family in (INET, INET6):
        attempt(f"protocol {protocol}", lambda f=family, p=protocol: socket.socket(
            f, socket.SOCK_RAW, p
        ).fileno())  # fmt: skip
for family in (16, 17, 38, 40, 43, 44):
    attempt(f"pair {family}", socket.socketpair, family)
