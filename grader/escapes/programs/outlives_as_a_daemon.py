# claim: leaves a daemon behind that goes on after the run
# expect: ok
import os
import signal
import socket
import time

from attack import T, say

say("goes")
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        for kind in range(1, 65):
            try:
                signal.signal(kind, signal.SIG_IGN)
            except (OSError, ValueError):
                pass
        for number in range(3):
            os.close(number)
        end = time.monotonic() + 20
        while time.monotonic() < end:
            try:
                socket.create_connection(("127.0.0.1", T["tcp"]), 0.2).close()
            except OSError:
                time.sleep(1)
        os._exit(0)
    os._exit(0)
