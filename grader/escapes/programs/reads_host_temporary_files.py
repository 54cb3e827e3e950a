# claim: reads files that lie open in the machine's temporary folders and shared memory
# expect: ok
import os

from attack import PREFIX, T, attempt, secret_in

for path in T["files"]:
    attempt(path, secret_in, path)
for folder in ("/tmp", "/var/tmp", "/dev/shm", "/run", "/run/user", "/var/run", "/run/lock"):
    try:
        names = os.listdir(folder)
    except OSError as error:
        print("stopped:", folder, error)
        continue
    print(folder, "holds", len(names))
    for name in names[:200]:
        path = os.path.join(folder, name)
        if os.path.isfile(path) and os.path.getsize(path) < 4096:
            try:
                content = open(path, "rb").read()
            except OSError:
                continue
            if PREFIX in content:
                attempt(path, secret_in, path)
