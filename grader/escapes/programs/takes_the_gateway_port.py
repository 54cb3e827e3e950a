# claim: puts a service of its own in the place of the model service
# expect: ok
# service: asked
import http.client
import os
import socket

from attack import attempt, escaped


def bind(family, address, reuse):
    one = socket.socket(family, socket.SOCK_STREAM)
    for option in reuse:
        one.setsockopt(socket.SOL_SOCKET, option, 1)
    one.bind(address)
    one.listen()
    return True


for reuse in ((), (socket.SO_REUSEADDR,), (socket.SO_REUSEPORT,),
              (socket.SO_REUSEADDR, socket.SO_REUSEPORT)):  # fmt: skip
    for address in (("127.0.0.1", 8000), ("0.0.0.0", 8000)):
        attempt(f"{address} {reuse}", bind, socket.AF_INET, address, reuse)
    attempt("both families", bind, socket.AF_INET6, ("::ffff:127.0.0.1", 8000), reuse)
for number in range(3, 256):
    try:
        held = socket.socket(fileno=os.dup(number))
        held.listen()
        escaped(f"the listening socket is open as {number}")
        held.shutdown(socket.SHUT_RDWR)
    except OSError:
        continue
for _ in range(3):
    connection = http.client.HTTPConnection("127.0.0.1", 8000, timeout=5)
    connection.request("GET", "/v1/models")
    print("it still answers:", connection.getresponse().status)
    connection.close()
