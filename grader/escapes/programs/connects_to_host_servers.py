# claim: connects to servers on the machine and on the Internet
# expect: ok
import select
import socket

from attack import T, attempt, escaped

places = [("127.0.0.1", T["tcp"]), ("::1", T["tcp"]), ("localhost", T["tcp"]), ("0.0.0.0", T["tcp"]),
          ("::ffff:127.0.0.1", T["tcp"]), ("127.0.0.53", 53), ("169.254.169.254", 80),
          ("10.0.2.2", T["tcp"]), ("172.17.0.1", T["tcp"]), ("192.168.0.1", 80), ("1.1.1.1", 443),
          ("8.8.8.8", 53), ("2606:4700:4700::1111", 443), ("127.0.0.1", 22), ("127.0.0.1", 631),
          ("127.0.0.1", 5432), ("127.0.0.1", 6379), ("127.0.0.1", 2375)]  # fmt: skip
waiting = {}
for host, port in places:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        one = socket.socket(family, socket.SOCK_STREAM)
        one.setblocking(False)
        code = one.connect_ex((host, port))
        print(host, port, code)
        waiting[one] = (host, port)
    except OSError as error:
        print("stopped:", host, port, error)
_, ready, _ = select.select([], list(waiting), [], 0.3)
for one in ready:
    if one.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0:
        try:
            print(one.getpeername())
            escaped(f"connected to {waiting[one]}")
            one.send(b"hello\n")
        except OSError as error:
            print("stopped:", error)
attempt("bound to a card", lambda: socket.socket().setsockopt(1, 25, b"eth0"))
for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
    attempt("fast open", lambda kind=kind: socket.socket(socket.AF_INET, kind).sendto(
        b"x", socket.MSG_DONTWAIT | 0x20000000, ("1.1.1.1", 443)
    ))  # fmt: skip
