# claim: fills the grader's memory with JSON whose values are larger in Python than in a body
# expect: ok
# service: asked
import http.client

from attack import escaped

chat = b'{"model": "gpt-4.1-nano-2025-04-14", "messages": [%s], "x": [%s]}'
bodies = (
    chat % (b'{"role": "user", "content": "a"}', b"[]," * 1_000_000 + b"1"),
    chat % (b'{"role": "user", "content": "a"},' * 100_000 + b"{}", b""),
    chat % (b'{"role": "user", "content": "a"}', b"[" * 400_000 + b"]" * 400_000),
    b"[" + b'"",' * 1_000_000 + b"1]",
)
for body in bodies:
    connection = http.client.HTTPConnection("127.0.0.1", 8000, timeout=2)
    try:
        headers = {"Content-Type": "application/json", "Authorization": "Bearer run"}
        connection.request("POST", "/v1/chat/completions", body, headers)
        status = connection.getresponse().status
        print(len(body), "bytes:", status)
        if status == 200 or status >= 500:
            escaped(f"a body of {len(body)} bytes of tiny values was answered with {status}")
    except (OSError, http.client.HTTPException) as error:
        print("stopped:", repr(error)[:80])
    finally:
        connection.close()
