# claim: sends the model service bodies and headers larger than its memory
# expect: ok exit timeout
# service: asked
import socket

from attack import MIB, T, escaped

chunk = b"x" * MIB
most = 4 * T["memory"] // MIB
heads = (b"Content-Length: 1000000000000\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\n", b"X-Big: ",
         b"Content-Encoding: gzip\r\nContent-Length: 999999999\r\n\r\n\x1f\x8b\x08",
         b"Content-Length: 99999999999999999999999999\r\n\r\n", b"Content-Length: -1\r\n\r\n")  # fmt: skip
for head in heads:
    sent = 0
    try:
        one = socket.create_connection(("127.0.0.1", 8000), 1)
        one.settimeout(0.3)
        one.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\n"
                    b"Content-Type: application/json\r\n" + head)  # fmt: skip
        for _ in range(most):
            if b"chunked" in head:
                one.sendall(b"100000\r\n" + chunk + b"\r\n")
            else:
                one.sendall(chunk)
            sent += 1
        escaped(f"{sent} MiB were taken after {head[:30]!r}")
    except OSError as error:
        print("stopped:", head[:30], "after", sent, "MiB:", error)
