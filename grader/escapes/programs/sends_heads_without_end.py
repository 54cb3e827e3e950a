# claim: fills the grader's memory with headers and paths that never end
# expect: ok
# service: asked
import socket

from attack import MIB, escaped

for start in (b"GET / HTTP/1.1\r\nX: ", b"GET / HTTP/1.1\r\n", b"GET /", b"GET / HTTP/1.1\r\nHost: "):
    piece = b"X: y\r\n" * 10_000 if start.endswith(b"\r\n") else b"a" * 65_536
    sent = 0
    try:
        one = socket.create_connection(("127.0.0.1", 8000), 1)
        one.settimeout(0.5)
        one.sendall(start)
        while sent < 48 * MIB:
            one.sendall(piece)
            sent += len(piece)
        escaped(f"{sent} bytes of a head were taken: {start!r}")
    except OSError as error:
        print("stopped after", sent, "bytes:", repr(error)[:80])
