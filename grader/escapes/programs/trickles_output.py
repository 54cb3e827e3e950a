# claim: writes a byte at a time so that whoever reads has no rest
# expect: ok exit timeout
import os
import time

end = time.monotonic() + 1
while time.monotonic() < end:
    os.write(1, b".")
    os.write(2, b"\n")
