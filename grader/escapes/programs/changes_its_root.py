# claim: leaves its root folder the classic way
# expect: ok exit
import os

from attack import attempt, escaped, syscall

os.mkdir("jail")
attempt("chroot", os.chroot, "jail")
attempt("chroot by number", syscall, "chroot", b"jail")
attempt("pivot_root", syscall, "pivot_root", b".", b"jail")
handle = os.open("/", os.O_RDONLY)
for _ in range(64):
    os.chdir("..")
if os.stat(".").st_ino != os.stat("/").st_ino:
    escaped("there is something above the root")
os.fchdir(handle)
