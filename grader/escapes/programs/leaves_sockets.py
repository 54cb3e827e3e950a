# claim: leaves sockets that cannot be read as files
# expect: ok
import os
import socket

held = []
for number in range(5):
    one = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        one.bind(f"s{number}.json")
        one.listen()
    except OSError as error:
        print("stopped:", error)
    held.append(one)
print("left", len(os.listdir(".")))
