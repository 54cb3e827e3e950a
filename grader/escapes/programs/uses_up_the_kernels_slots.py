# claim: takes all slots for asynchronous input, writes all disks of the machine, changes segments
# expect: ok
import ctypes

from attack import attempt, syscall

context = ctypes.c_ulong(0)
attempt("slots", syscall, "io_setup", 65536, ctypes.byref(context))
attempt("all disks", syscall, "sync")
attempt("one disk", syscall, "syncfs", 1)
attempt("segments", syscall, "modify_ldt", 0, (ctypes.c_char * 64)(), 64)
