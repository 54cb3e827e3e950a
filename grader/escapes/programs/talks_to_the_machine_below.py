# claim: talks to the hypervisor, or to another machine on it, over vsock
# expect: ok
import ctypes
import socket

from attack import attempt

VSOCK = 40
for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_SEQPACKET):
    for number in (0, 1, 2, 3, 0xFFFFFFFF):

        def connect(kind=kind, number=number):
            one = socket.socket(VSOCK, kind)
            one.settimeout(0.1)
            try:
                one.connect((number, 1024))
            except OSError as error:
                return f"a socket, but {error}"
            return True

        attempt(f"to {number}", connect)
libc = ctypes.CDLL(None, use_errno=True)
attempt("by C", lambda: libc.socket(VSOCK, 1, 0) >= 0)
