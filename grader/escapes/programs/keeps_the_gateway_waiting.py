# claim: sends its requests a byte at a time over many connections
# expect: ok timeout
# service: asked
import socket
import time

held = []
try:
    while len(held) < 100:
        one = socket.create_connection(("127.0.0.1", 8000), 0.5)
        one.setblocking(False)
        held.append(one)
except OSError as error:
    print("stopped:", error)
starts = (b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nX-A: ", b"GET /v1/mod", b"", b"P",
          b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n{")  # fmt: skip
for number, one in enumerate(held):
    try:
        one.send(starts[number % len(starts)])
    except OSError:
        continue
end = time.monotonic() + 45  # by the faster clock
while time.monotonic() < end:
    for one in held:
        try:
            one.send(b"a")
        except OSError:
            continue
    time.sleep(3)
print("held", len(held))
