"""What the hostile programs share: where the secrets lie, and how to say what happened."""

import ctypes
import json
import os
import platform

HERE = os.path.dirname(os.path.abspath(__file__))
with open(os.path.join(HERE, "targets.json")) as file:
    T = json.load(file)
PREFIX = T["prefix"].encode()
FULL = T["isolation"] == "full"
MIB = 1024 * 1024

_LIBC = ctypes.CDLL(None, use_errno=True)
# The number on x86-64 and the one of the architectures that came later.
_NUMBERS = {
    "acct": (163, 89), "add_key": (248, 217), "adjtimex": (159, 171), "bpf": (321, 280),
    "capset": (126, 91), "chroot": (161, 51), "clock_adjtime": (305, 266),
    "clock_settime": (227, 112), "clone": (56, 220), "clone3": (435, 435),
    "delete_module": (176, 106), "fanotify_init": (300, 262), "finit_module": (313, 273),
    "fsconfig": (431, 431), "fsmount": (432, 432), "fsopen": (430, 430),
    "fspick": (433, 433), "init_module": (175, 105), "io_uring_setup": (425, 425),
    "io_setup": (206, 0), "ioprio_set": (251, 30), "kcmp": (312, 272), "kexec_load": (246, 104),
    "keyctl": (250, 219), "memfd_create": (319, 279), "memfd_secret": (447, 447),
    "mknodat": (259, 33), "modify_ldt": (154, -1), "mount": (165, 40), "mount_setattr": (442, 442),
    "move_mount": (429, 429), "move_pages": (279, 239), "mq_open": (240, 180),
    "msgget": (68, 186), "name_to_handle_at": (303, 264), "open_by_handle_at": (304, 265),
    "open_tree": (428, 428), "perf_event_open": (298, 241), "pidfd_getfd": (438, 438),
    "pidfd_open": (434, 434), "pivot_root": (155, 41), "process_madvise": (440, 440),
    "process_vm_readv": (310, 270), "process_vm_writev": (311, 271), "ptrace": (101, 117),
    "quotactl": (179, 60), "reboot": (169, 142), "request_key": (249, 218),
    "sched_setattr": (314, 274), "semget": (64, 190), "sethostname": (170, 161),
    "setns": (308, 268), "settimeofday": (164, 170), "shmget": (29, 194),
    "swapoff": (168, 225), "swapon": (167, 224), "sync": (162, 81), "syncfs": (306, 267), "syslog": (103, 116), "umount2": (166, 39),
    "unshare": (272, 97), "userfaultfd": (323, 282), "vhangup": (153, 58),
}  # fmt: skip


def syscall(name, *arguments):
    """The system call's result. Raises OSError."""
    number = _NUMBERS[name][0 if platform.machine() == "x86_64" else 1]
    return raw_syscall(number, *arguments)


def raw_syscall(number, *arguments):
    ready = [ctypes.c_long(one) if isinstance(one, int) else one for one in (number, *arguments)]
    _LIBC.syscall.restype = ctypes.c_long
    result = _LIBC.syscall(*ready)
    if result == -1:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result


def say(text):
    """Straight to the pipe: what is buffered is lost when a limit strikes."""
    os.write(1, (text + "\n").encode(errors="replace"))


def escaped(what):
    say(f"ESCAPED: {what}"[:400])


def attempt(what, function, *arguments):
    """Try it: a result that counts as true is an escape, and so is None for want of an error."""
    try:
        result = function(*arguments)
    except BaseException as error:
        say(f"stopped: {what}: {type(error).__name__}: {error}"[:400])
        return None
    if result is None or (result is not False and result not in ("", b"", [], {})):
        escaped(f"{what}: {result!r}")
        return result
    say(f"nothing there: {what}")
    return None


def read(path, size=MIB):
    with open(path, "rb", buffering=0) as file:
        return file.read(size) or b""


def secret_in(path):
    """What of a planted secret stands there."""
    return find_secret(read(path))


def find_secret(content):
    start = content.find(PREFIX)
    return content[start : start + 40] if start >= 0 else b""


def pids():
    return sorted(int(name) for name in os.listdir("/proc") if name.isdigit())
