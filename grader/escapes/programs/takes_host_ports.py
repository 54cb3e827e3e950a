# claim: takes the ports of servers of the machine and waits for others' connections
# expect: ok
import socket

from attack import FULL, T, attempt

# In a network of its own it may listen as it likes: nobody outside can come.
for address in (("0.0.0.0", T["tcp"]), ("127.0.0.1", T["tcp"]), ("127.0.0.1", 34567)):

    def listen(address=address):
        one = socket.socket()
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        one.bind(address)
        one.listen()
        one.settimeout(0.05)
        try:
            one.accept()
        except TimeoutError:
            return not FULL
        return True

    attempt(str(address), listen)
