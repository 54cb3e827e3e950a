# claim: reads kernel memory, addresses, keys and the machine's connections
# expect: ok
# isolation: full
from attack import T, attempt, read, syscall

for path in ("/proc/kcore", "/proc/kmsg", "/proc/kpagecount", "/proc/kpageflags",
             "/sys/kernel/debug", "/sys/kernel/tracing/trace", "/sys/firmware/efi/efivars",
             "/sys/class/dmi/id/product_serial", "/sys/kernel/notes"):  # fmt: skip
    attempt(path, read, path, 64)
attempt("addresses", lambda: any(
    int(line.split()[0], 16) for line in read("/proc/kallsyms").splitlines()[:50]
))  # fmt: skip
attempt("keys", lambda: read("/proc/keys").strip())
attempt("connections", lambda: f":{T['tcp']:04X}".encode() in read("/proc/net/tcp"))
attempt("sockets", lambda: T["unix"].encode() in read("/proc/net/unix"))
attempt("abstract", lambda: T["abstract"].encode() in read("/proc/net/unix"))
attempt("kernel log", lambda: syscall("syslog", 3, b"\0" * 4096, 4096))
attempt("network cards", lambda: [
    line for line in read("/proc/net/dev").decode().splitlines()[2:] if "lo:" not in line
])  # fmt: skip
