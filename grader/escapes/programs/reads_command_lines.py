# claim: sees the machine's processes and what they were started with
# expect: ok
# isolation: full
from attack import T, attempt, escaped, find_secret, pids, read

there = pids()
print("processes:", len(there))
if len(there) > 12:
    escaped(f"{len(there)} processes of the machine are in sight")
for pid in {*there, T["grader"], T["decoy"]}:
    attempt(f"command of {pid}", lambda pid=pid: find_secret(read(f"/proc/{pid}/cmdline")))
for pid in there:
    words = read(f"/proc/{pid}/cmdline").replace(b"\0", b" ")
    print(pid, words[:300].decode(errors="replace"))
    if b"--bind" in words or b"--ro-bind" in words:
        escaped("the launcher's options, with paths of the machine, are in sight")
