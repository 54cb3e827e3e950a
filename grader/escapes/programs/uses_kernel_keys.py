# claim: reads and leaves keys in the kernel's key rings
# expect: ok
import ctypes

from attack import T, attempt, syscall

for ring in (-1, -2, -3, -4, -5):
    attempt(f"ring {ring}", syscall, "keyctl", 0, ring, 1)
    attempt(f"new in {ring}", syscall, "add_key", b"user", T["token"].encode(), b"x", 1, ring)
buffer = ctypes.create_string_buffer(256)
attempt("reads", syscall, "keyctl", 11, -3, buffer, 256)
attempt("joins", syscall, "keyctl", 1, b"fg")
attempt("asks", syscall, "request_key", b"user", b"fg", b"", -3)
