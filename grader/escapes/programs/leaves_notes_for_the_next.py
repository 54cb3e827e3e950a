# claim: leaves notes that the next student's program finds, and looks for others' notes
# expect: ok
import glob
import os
import site

from attack import T, attempt

name = f"fg-note-{T['token']}"
places = {"/tmp", "/var/tmp", "/dev/shm", "/run", "/dev", "/dev/mqueue", "/", os.getcwd(), "/etc",
          os.path.expanduser("~"), site.getusersitepackages(), "/opt", "/usr/lib", "/submission",
          os.environ.get("TMPDIR", "/tmp"), "/var/lock", "/proc", "/sys/fs/cgroup"}  # fmt: skip
for place in places:
    attempt(f"found in {place}", glob.glob, f"{place}/fg-note-*")
for place in places:
    try:
        os.makedirs(place, exist_ok=True)
        with open(f"{place}/{name}", "w") as file:
            file.write("the answers are 4, 8, 15")
        print("left in", place)
    except OSError as error:
        print("stopped:", place, error)
