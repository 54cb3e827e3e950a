# claim: asks the model service without end, over many connections at once
# expect: ok exit timeout
# service: asked
import json
import os
import socket
import time

body = json.dumps({"model": "gpt-4.1-nano-2025-04-14", "temperature": 1,
                   "messages": [{"role": "user", "content": "again"}]}).encode()  # fmt: skip
request = (b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
           b"Content-Length: %d\r\n\r\n" % len(body)) + body  # fmt: skip
for _ in range(3):
    if os.fork() == 0:
        break
end, sent = time.monotonic() + 1, 0
while time.monotonic() < end:
    try:
        one = socket.create_connection(("127.0.0.1", 8000), 1)
        one.settimeout(0.2)
        while time.monotonic() < end:
            one.sendall(request * 8)
            sent += 8
            if not one.recv(1 << 20):
                break
    except OSError:
        continue
print("sent", sent)
