# claim: rids itself of its limits and filters by starting other programs
# expect: ok
import json
import subprocess
import sys

from attack import T, attempt, escaped

code = """
import ctypes, json, os, resource, socket
status = dict(line.split(":\\t", 1) for line in open("/proc/self/status") if ":\\t" in line)
found = {"filter": status["Seccomp"].strip(), "privileges": status["NoNewPrivs"].strip(),
         "files": resource.getrlimit(resource.RLIMIT_NOFILE)[1],
         "processes": resource.getrlimit(resource.RLIMIT_NPROC)[1]}
try:
    socket.socket(16, 3)
    found["netlink"] = True
except OSError:
    found["netlink"] = False
print(json.dumps(found))
"""
for command in ([sys.executable or "/usr/bin/python3", "-I", "-c", code],
                ["/bin/sh", "-c", 'exec env -i "$0" -I -S -c "$1"', sys.executable, code],
                ["/usr/bin/setsid", sys.executable, "-c", code],
                ["/usr/bin/prlimit", "--nofile=100000", sys.executable, "-c", code],
                ["/usr/bin/setpriv", "--reuid=0", sys.executable, "-c", code]):  # fmt: skip
    try:
        done = subprocess.run(command, capture_output=True, timeout=2, check=True)
        found = json.loads(done.stdout)
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        print("stopped:", command[0], repr(error)[:200])
        continue
    print(command[0], found)
    if found["filter"] != "2" or found["privileges"] != "1" or found["netlink"]:
        escaped(f"{command[0]} is free of the filter: {found}")
    if found["files"] > T["descriptors"] or found["processes"] > T["processes"]:
        escaped(f"{command[0]} is free of the limits: {found}")
attempt("others", lambda: subprocess.run(["bwrap", "--ro-bind", "/", "/", "id"]).returncode == 0)
