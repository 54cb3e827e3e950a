# claim: opens disks, memory, terminals and other devices
# expect: ok
# isolation: full
import os
import stat

from attack import attempt, escaped

HARMLESS = {"null", "zero", "full", "random", "urandom", "tty", "ptmx"}
for folder, _, names in os.walk("/dev"):
    for name in names:
        path = os.path.join(folder, name)
        try:
            kind = os.lstat(path).st_mode
        except OSError as error:
            print("stopped:", path, error)
            continue
        device = stat.S_ISBLK(kind) or stat.S_ISCHR(kind)
        if device and name not in HARMLESS and not folder.startswith("/dev/pts"):
            escaped(f"a device is there: {path}")
for path in ("/dev/mem", "/dev/kmem", "/dev/port", "/dev/kmsg", "/dev/sda", "/dev/vda",
             "/dev/nvme0n1", "/dev/loop-control", "/dev/fuse", "/dev/kvm", "/dev/net/tun",
             "/dev/vsock", "/dev/userfaultfd", "/dev/input/event0", "/dev/snd/timer",
             "/dev/mapper/control", "/dev/tty", "/dev/tty0", "/dev/console"):  # fmt: skip
    attempt(path, lambda path=path: os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY))
