# claim: learns the names of the grader's folders from the list of mounts
# expect: ok
from attack import PREFIX, T, escaped, pids, read

base = T["base"].encode()
for pid in ("self", *pids()):
    for name in ("mountinfo", "mounts", "mountstats", "maps", "smaps_rollup"):
        try:
            content = read(f"/proc/{pid}/{name}")
        except OSError as error:
            print("stopped:", pid, name, error)
            continue
        if name != "maps" and pid == "self":
            print(content.decode(errors="replace")[:6000])
        for secret in (PREFIX, base, b"/submissions-"):
            if secret in content:
                escaped(f"{name} of {pid} tells of {secret.decode()}")
