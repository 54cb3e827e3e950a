# claim: fills the grader's memory with responses that it asks for and never reads
# expect: ok
# service: asked
import json
import socket
import time

body = json.dumps({"model": "gpt-4.1-nano-2025-04-14", "temperature": 1,
                   "messages": [{"role": "user", "content": "again"}]}).encode()  # fmt: skip
request = (b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
           b"Content-Length: %d\r\n\r\n" % len(body)) + body  # fmt: skip
held = []
for _ in range(100):
    try:
        one = socket.create_connection(("127.0.0.1", 8000), 1)
        one.settimeout(0.2)
        one.sendall(request * 8)
        held.append(one)
    except OSError as error:
        print("stopped:", repr(error)[:80])
        break
time.sleep(1)
print("held", len(held))
