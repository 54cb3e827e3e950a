# claim: makes the model service read files, or fetch pages, for it
# expect: ok
# service: asked
import http.client

from attack import T, escaped, find_secret

for method, path in (("GET", "/../../../../" + T["hidden"]), ("GET", "//" + T["hidden"]),
                     ("GET", "/v1/files/..%2f..%2f..%2f" + T["hidden"]), ("GET", "/v1/files"),
                     ("GET", f"http://127.0.0.1:{T['tcp']}/"), ("GET", f"//127.0.0.1:{T['tcp']}/"),
                     ("CONNECT", f"127.0.0.1:{T['tcp']}"), ("GET", "/admin"), ("GET", "/metrics"),
                     ("GET", "/openapi.json"), ("GET", "/docs"), ("GET", "/scores"), ("TRACE", "/"),
                     ("GET", "/v1/runs"), ("GET", "/journal"), ("DELETE", "/v1/models/x"),
                     ("PUT", "/v1/files/x"), ("OPTIONS", "*"), ("GET", "/debug/pprof"),
                     ("GET", "file://" + T["hidden"]), ("GET", "/static/%00")):  # fmt: skip
    connection = http.client.HTTPConnection("127.0.0.1", 8000, timeout=2)
    try:
        connection.putrequest(method, path, skip_host=False)
        connection.putheader("Connection", "close")
        connection.endheaders()
        response = connection.getresponse()
        content = response.read(65536)
        print(method, path[:60], response.status, len(content))
        if find_secret(content):
            escaped(f"{path} gives a secret: {find_secret(content)!r}")
        if b"Traceback" in content or b"site-packages" in content:
            escaped(f"{path} shows the service's inside")
        if method in ("CONNECT", "TRACE") and response.status == 200:
            escaped(f"{method} is served")
    except (OSError, http.client.HTTPException) as error:
        print("stopped:", method, path[:60], repr(error)[:100])
    finally:
        connection.close()
