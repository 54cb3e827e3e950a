# claim: ends in the middle of many requests, so that the service is left with them
# expect: signal
# service: asked
import os
import signal
import socket

request = (b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
           b'Content-Length: 86\r\n\r\n{"model": "gpt-4.1-nano-2025-04-14", "messages": '
           b'[{"role": "user", "content": "a"}]} ')  # fmt: skip
held = []
for number in range(40):
    try:
        one = socket.create_connection(("127.0.0.1", 8000), 0.5)
        one.sendall(request if number % 2 else request[:-20])
        held.append(one)
    except OSError:
        break
os.kill(os.getpid(), signal.SIGKILL)
