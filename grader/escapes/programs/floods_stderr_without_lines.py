# claim: writes to stderr without end and without a line feed
# expect: ok exit timeout signal
import os

from attack import MIB

block = b"\xff\x00x\x1b" * 65536
for _ in range(200 * MIB // len(block)):
    os.write(2, block)
