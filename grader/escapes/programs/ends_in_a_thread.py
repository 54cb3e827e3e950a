# claim: ends the interpreter from a thread, past everything that waits for its end
# expect: exit
# code: 9
import os
import threading
import time

from attack import say


def end():
    os._exit(9)


say("waits")
threading.Timer(0.1, end).start()
while True:
    time.sleep(1)
