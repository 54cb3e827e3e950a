# claim: fills the disk outside of its own folder
# expect: ok exit disk memory signal
import os

from attack import MIB, T, escaped, say

places = {"/tmp", "/var/tmp", "/dev", "/dev/shm", "/dev/mqueue", "/run", "/run/lock", "/", "/opt",
          "/submission", "/var", "/etc", "/usr/local", "/home", "/sys/fs/cgroup",
          os.environ.get("HOME", "/"), os.environ.get("TMPDIR", "/tmp")}  # fmt: skip
for place in sorted(places):
    written = 0
    try:
        for number in range(100):
            with open(f"{place}/fg-note-{T['token']}-{number}", "wb", buffering=0) as file:
                for _ in range(4):
                    written += file.write(b"x" * MIB)
            if written > 2 * T["memory"]:
                escaped(f"{written // MIB} MiB in {place}")
                break
    except OSError as error:
        say(f"stopped: {place}: after {written // MIB} MiB: {error}")
    for number in range(100):
        try:
            os.unlink(f"{place}/fg-note-{T['token']}-{number}")
        except OSError:
            break
