# claim: changes settings of the kernel through /proc and /sys
# expect: ok
import glob
import os

from attack import attempt


def opens(path):
    # Opened and not written: where this works, the harm must not follow.
    return os.open(path, os.O_WRONLY)


for path in ("/proc/sys/kernel/core_pattern", "/proc/sys/kernel/modprobe", "/proc/sysrq-trigger",
             "/proc/sys/kernel/hostname", "/proc/sys/vm/drop_caches", "/proc/acpi/wakeup",
             "/proc/sys/net/ipv4/ip_forward", "/proc/sys/vm/overcommit_memory",
             "/proc/sys/fs/binfmt_misc/register", "/proc/irq/default_smp_affinity",
             "/proc/sys/kernel/random/boot_id", "/proc/kcore", "/sys/power/state",
             "/sys/kernel/uevent_helper", "/sys/fs/cgroup/cgroup.procs",
             "/sys/kernel/debug/sched_debug", "/sys/class/net/lo/mtu"):  # fmt: skip
    attempt(path, opens, path)
for folder in ("/sys/fs/cgroup", *glob.glob("/sys/fs/cgroup/*"), "/proc", "/sys"):
    attempt(f"new folder in {folder}", lambda f=folder: os.mkdir(f + "/fg-note-cgroup"))


def writes(path, content):
    with open(path, "wb", buffering=0) as file:
        return file.write(content)


attempt("spared when memory is short", writes, "/proc/self/oom_score_adj", b"-900")
attempt("identity", writes, "/proc/self/uid_map", b"0 0 1")
attempt("groups", writes, "/proc/self/setgroups", b"allow")
