# claim: changes the interpreter, its libraries, our own start and the submitted folder
# expect: ok
import glob
import os
import sys

from attack import attempt

here = os.path.dirname(os.path.abspath(__file__))
places = {*filter(os.path.isdir, sys.path), sys.prefix, sys.base_prefix, "/usr/bin", "/usr/lib",
          "/opt", "/opt/finegrade", "/opt/site", "/submission", "/etc", "/", "/bin", "/proc", "/dev",
          *glob.glob("/opt/*"), *glob.glob("/mnt/*")} - {here, os.getcwd()}  # fmt: skip
for place in sorted(places):
    attempt(f"new in {place}", lambda p=place: os.close(
        os.open(os.path.join(p, "sitecustomize.py"), os.O_CREAT | os.O_WRONLY)
    ))  # fmt: skip
    attempt(f"mode of {place}", lambda p=place: os.chmod(p, 0o777))
    attempt(f"moves {place}", lambda p=place: os.rename(p, p + "2"))
for path in {sys.executable, os.__file__, "/opt/finegrade/start.py", "/bin/sh", "/etc/ld.so.cache",
             *glob.glob("/opt/finegrade/*"), *glob.glob("/submission/*"), "/proc/1/exe",
             "/proc/self/exe", f"/proc/{os.getppid()}/exe"}:  # fmt: skip
    attempt(f"writes {path}", lambda p=path: os.close(os.open(p, os.O_WRONLY)))
    attempt(f"removes {path}", os.unlink, path)
