# claim: reads another student's folder, which everybody on the machine may read
# expect: ok
import os

from attack import T, attempt, secret_in

other = T["other"]
for front in ("", "/proc/self/root", "/proc/1/root", f"/proc/{os.getppid()}/root"):
    attempt(front + other, os.listdir, front + other)
    attempt("its file", secret_in, f"{front}{other}/reflection.md")
for up in ("..", "../..", "../../.."):
    for start in (".", "/submission", os.path.dirname(os.path.abspath(__file__))):
        for folder, _, names in os.walk(os.path.join(start, up)):
            if folder.count("/") > 12 or folder.startswith(("/proc", "/sys")):
                break
            if "reflection.md" in names:
                attempt("found by walking", secret_in, os.path.join(folder, "reflection.md"))
        break
