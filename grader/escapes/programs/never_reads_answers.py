# claim: asks for much and reads nothing, so that answers pile up in the grader
# expect: ok exit timeout
# service: asked
import json
import socket

body = json.dumps({"model": "gpt-4.1-nano-2025-04-14", "max_tokens": 100_000, "n": 100,
                   "messages": [{"role": "user", "content": "tell all " * 100}]}).encode()  # fmt: skip
request = (b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
           b"Content-Length: %d\r\n\r\n" % len(body)) + body  # fmt: skip
held = []
for _ in range(20):
    try:
        one = socket.create_connection(("127.0.0.1", 8000), 0.5)
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
        one.settimeout(0.05)
        held.append(one)
        for _ in range(500):
            one.sendall(request)
    except OSError as error:
        print("stopped:", error)
print("asked on", len(held))
