# claim: hides memory in System V segments, and leaves them and queues on the machine
# expect: ok memory exit signal
import ctypes

from attack import FULL, MIB, T, attempt, escaped, say, syscall

CREATE, KEY, SIZE = 0o1000, 0x46470000, 16 * MIB
libc = ctypes.CDLL(None, use_errno=True)
libc.shmat.restype = ctypes.c_void_p


def on_the_machine(name, *arguments):
    # In a namespace of its own they end with it; elsewhere they stay.
    return syscall(name, *arguments) < 0 or not FULL


attempt("queue", on_the_machine, "msgget", KEY + 1, CREATE | 0o600)
attempt("semaphores", on_the_machine, "semget", KEY + 2, 1, CREATE | 0o600)
attempt("segment", on_the_machine, "shmget", KEY + 3, MIB, CREATE | 0o600)
filled = 0
try:
    while filled < 2 * T["memory"]:
        segment = syscall("shmget", 0, SIZE, CREATE | 0o600)
        ctypes.memset(libc.shmat(segment, None, 0), 1, SIZE)
        filled += SIZE
    escaped(f"{filled // MIB} MiB in segments")
except OSError as error:
    say(f"stopped: after {filled // MIB} MiB: {error}")
