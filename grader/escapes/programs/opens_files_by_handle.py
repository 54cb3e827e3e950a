# claim: opens files past all folders, by the numbers that the disk knows them by
# expect: ok
import ctypes

from attack import attempt, syscall

for path in (b"/", b"/usr", b"/submission", b"/opt", b"/box"):
    handle = (ctypes.c_uint32 * 40)(128, 0)
    mount = ctypes.c_int()

    def name(path=path, handle=handle, mount=mount):
        syscall("name_to_handle_at", -100, path, handle, ctypes.byref(mount), 0)
        return False

    attempt("names", name)

    def through(path=path, handle=handle):
        import os

        return syscall("open_by_handle_at", os.open(path, os.O_RDONLY), handle, os.O_RDONLY)

    attempt(f"opens {path!r}", through)
attempt("watches all files", syscall, "fanotify_init", 0, 0)
