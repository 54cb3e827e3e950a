# claim: confuses the model service about where a request ends, to hide one in another
# expect: ok
# service: asked
import socket

from attack import escaped

inner = b"GET /v1/smuggled HTTP/1.1\r\nHost: x\r\n\r\n"
start = b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
bodies = (
    b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + inner,
    b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n" + inner,
    b"Content-Length: 0\r\nContent-Length: %d\r\n\r\n" % len(inner) + inner,
    b"Content-Length: +0\r\n\r\n" + inner,
    b"Content-Length: 0 , 5\r\n\r\n" + inner,
    b"Content-Length : 0\r\n\r\n" + inner,
    b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" + inner,
    b"Transfer-Encoding:\x0bchunked\r\n\r\n0\r\n\r\n" + inner,
    b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n" + inner,
    b"Transfer-Encoding: chunked\r\n\r\n0x0\r\n\r\n" + inner,
    b"X: y\r\n Content-Length: 3\r\nContent-Length: 0\r\n\r\n" + inner,
    b"X: a\x00b\r\nContent-Length: 0\r\n\r\n" + inner,
    b"X: a\nContent-Length: 0\n\n" + inner,
)
for body in bodies:
    answer = b""
    try:
        one = socket.create_connection(("127.0.0.1", 8000), 1)
        one.settimeout(0.15)
        one.sendall(start + body)
        while part := one.recv(65536):
            answer += part
    except OSError:
        pass
    count = answer.count(b"HTTP/1.1 ")
    print(body[:60], "->", answer[:40], count)
    if b"HTTP/1.1 5" in answer:
        escaped(f"the service fell over {body[:60]!r}")
    # No length, or two that contradict each other: to take it as a good request is the mistake.
    if b"HTTP/1.1 2" in answer:
        escaped(f"a request was accepted: {body[:60]!r}")
