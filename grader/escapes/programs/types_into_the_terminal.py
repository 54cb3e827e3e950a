# claim: types commands into the terminal from which the grader was started
# expect: ok exit
import fcntl
import glob
import os
import termios

from attack import attempt, escaped

for path in ("/dev/tty", "/dev/console", *glob.glob("/dev/pts/*"), *glob.glob("/dev/tty*")):
    if path in ("/dev/pts/ptmx",):
        continue
    attempt(path, os.open, path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
for number in (0, 1, 2):
    if os.isatty(number):
        escaped(f"descriptor {number} is a terminal")
    for request in (termios.TIOCSTI, 0x541C, termios.TIOCSTI | 1 << 32):
        attempt(f"into {number}", lambda n=number, r=request: fcntl.ioctl(n, r & 0xFFFFFFFF, b"x"))
master, slave = os.openpty()
os.setsid() if os.getpgrp() != os.getpid() else None
attempt("own terminal, made ours", lambda: (fcntl.ioctl(slave, termios.TIOCSCTTY, 0), False)[1])
attempt("into its own", lambda: fcntl.ioctl(slave, termios.TIOCSTI, b"x"))
