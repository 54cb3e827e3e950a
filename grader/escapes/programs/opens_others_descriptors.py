# claim: opens again what other processes hold open
# expect: ok
import os

from attack import T, attempt, escaped, find_secret, pids, read

for pid in {*pids(), 1, os.getppid(), T["grader"], T["decoy"]} - {os.getpid()}:
    try:
        numbers = os.listdir(f"/proc/{pid}/fd")
    except OSError as error:
        print("stopped:", pid, error)
        continue
    for number in numbers:
        path = f"/proc/{pid}/fd/{number}"
        try:
            link = os.readlink(path)
            print(path, link)
            descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        except OSError as error:
            print("stopped:", path, error)
            continue
        if os.path.isdir(path):
            up = f"/proc/self/fd/{descriptor}" + "/.." * 30
            for target in T["files"]:
                attempt("through a folder", lambda t=target, up=up: find_secret(read(up + t)))
        elif link.startswith("/") and not link.startswith(("/dev/null", "/box", "/tmp")):
            escaped(f"{pid} holds {link} open")
        os.close(descriptor)
