# claim: raises the limits that it was given
# expect: ok
import resource

from attack import T, attempt, escaped

for name in ("AS", "CORE", "CPU", "DATA", "FSIZE", "NOFILE", "NPROC", "STACK", "RTPRIO", "NICE",
             "MSGQUEUE", "SIGPENDING", "MEMLOCK"):  # fmt: skip
    kind = getattr(resource, f"RLIMIT_{name}")
    soft, hard = resource.getrlimit(kind)
    print(name, soft, hard)
    if hard != resource.RLIM_INFINITY:
        attempt(f"{name} without end", resource.setrlimit, kind, (-1, -1))
        attempt(f"{name} by one", resource.setrlimit, kind, (soft, hard + 1))
        attempt(f"{name} by number", resource.prlimit, 0, kind, (hard + 1, hard + 1))
    elif name in ("CPU", "FSIZE", "NOFILE", "NPROC"):
        escaped(f"no hard limit on {name}")
for pid in (T["grader"], T["decoy"]):
    attempt(f"of {pid}", resource.prlimit, pid, resource.RLIMIT_CPU, (1, 1))
if resource.getrlimit(resource.RLIMIT_CORE)[1] > 1:
    escaped("may write core files")
