# claim: mounts, unmounts and changes mounts, so that hidden folders come to light
# expect: ok
import ctypes

from attack import attempt, syscall

REMOUNT, BIND, MOVE, RECURSIVE = 32, 4096, 8192, 16384
attempt("tmpfs", syscall, "mount", b"none", b"/box", b"tmpfs", 0, None)
attempt("proc", syscall, "mount", b"none", b"/tmp", b"proc", 0, None)
attempt("sysfs", syscall, "mount", b"none", b"/tmp", b"sysfs", 0, None)
attempt("overlay", syscall, "mount", b"none", b"/tmp", b"overlay", 0, b"lowerdir=/,upperdir=/box")
attempt("bind", syscall, "mount", b"/", b"/tmp", None, BIND | RECURSIVE, None)
attempt("move", syscall, "mount", b"/tmp", b"/box", None, MOVE, None)
for place in (b"/", b"/usr", b"/dev", b"/proc", b"/opt/site", b"/submission"):
    attempt("writable", syscall, "mount", None, place, None, REMOUNT | BIND, None)
    attempt("gone", syscall, "umount2", place, 2)
    attempt("attributes", syscall, "mount_setattr", -100, place, 0x8000,
            (ctypes.c_uint64 * 4)(0, 1, 0, 0), 32)  # fmt: skip
    attempt("tree", syscall, "open_tree", -100, place, 1)
    attempt("pick", syscall, "fspick", -100, place, 0)
attempt("new", syscall, "fsopen", b"tmpfs", 0)
attempt("moved", syscall, "move_mount", -1, b"", -100, b"/box", 4)
