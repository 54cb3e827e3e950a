# claim: sends the model service what is no HTTP
# expect: ok timeout
# service: asked
import os
import socket

starts = [os.urandom(4000), b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + os.urandom(500),
          b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0" * 100, b"\r\n" * 5000, b"\0" * 5000,
          b"GET / HTTP/9.9\r\n\r\n", b"GET /\r\n\r\n", b"G" * 200_000, b"GET " + b"/a" * 100_000,
          b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 20_000 + b"\r\n", b"GET / HTTP/1.1\r\n\xff\xfe: 1\r\n\r\n",
          b"GET /\xff\x00 HTTP/1.1\r\nHost: \xff\r\n\r\n", b"POST /v1/chat/completions HTTP/1.1\r\n"
          b"Host: x\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\nx",
          b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n"
          b"Content-Length: 10\r\n\r\n", b"GET / HTTP/1.1\r\nUpgrade: websocket\r\n"
          b"Connection: Upgrade\r\nSec-WebSocket-Key: x\r\nSec-WebSocket-Version: 13\r\n\r\n"]  # fmt: skip
bodies = [b"[" * 100_000, b'{"a":' * 50_000, b"\xff" * 1000, b"NaN", b"1" * 5000, b'"\\ud800"',
          b'{"model": {"a": 1}, "messages": 5}', b'{"messages": [{"role": null}]}', b"null", b"",
          b'{"model": "x", "messages": [], "n": 1e999}', b'{"model":"x","model":"y"}']  # fmt: skip
for body in bodies:
    starts.append(b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json"
                  b"\r\nContent-Length: %d\r\n\r\n" % len(body) + body)  # fmt: skip
for start in starts:
    try:
        one = socket.create_connection(("127.0.0.1", 8000), 1)
        one.settimeout(0.08)
        one.sendall(start)
        answer = one.recv(65536)
        print(start[:30], "->", answer[:60])
        if b"Traceback" in answer:
            print("ESCAPED: it shows its inside")
    except OSError as error:
        print(start[:30], "->", error)
