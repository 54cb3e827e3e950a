# claim: crashes the interpreter and leaves a core file
# expect: signal
import ctypes
import os
import resource

from attack import attempt, escaped

attempt("core files", lambda: resource.setrlimit(resource.RLIMIT_CORE, (1 << 20, 1 << 20)))
if resource.getrlimit(resource.RLIMIT_CORE)[1] > 1:
    escaped("may write a core file")
os.chdir("/box" if os.path.isdir("/box") else ".")
ctypes.string_at(8)
