# claim: writes to stdout without end
# expect: ok exit timeout signal
import os

from attack import MIB

block = b"0123456789abcde\n" * 65536
for _ in range(200 * MIB // len(block)):
    os.write(1, block)
