# claim: undoes the faster clock and waits in real time
# expect: timeout
# limits: wall_seconds=1
import ctypes
import importlib
import sys
import time

from attack import say

for name in ("time", "asyncio", "datetime", "threading"):
    sys.modules.pop(name, None)
importlib.invalidate_caches()
real = importlib.import_module("time")
say(f"sleeps: {real.sleep} {time.sleep}")
libc = ctypes.CDLL(None)
while True:
    libc.sleep(1000)
