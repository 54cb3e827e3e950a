# claim: sets the machine's clock
# expect: ok
import ctypes
import time

from attack import attempt, syscall

attempt("to now", time.clock_settime, time.CLOCK_REALTIME, time.clock_gettime(time.CLOCK_REALTIME))
now = (ctypes.c_int64 * 2)(int(time.clock_gettime(time.CLOCK_REALTIME)), 0)
attempt("of the day", syscall, "settimeofday", now, None)
attempt("by number", syscall, "clock_settime", 0, now)
tuning = (ctypes.c_int64 * 26)(0x4000, 0)
attempt("tunes", lambda: syscall("adjtimex", tuning) and False)
attempt("tunes by clock", lambda: syscall("clock_adjtime", 0, tuning) and False)
