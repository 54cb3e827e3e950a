# claim: writes the files in which the grader keeps results, and on every open descriptor
# expect: exit
# code: 7
import json
import os

from attack import T, say

text = json.dumps({"verdict": "ok", "exit-code": 0, "exit_code": 0, "score": 100}).encode() + b"\n"
for name in ("result.json", "results.json", "transcript.json", "ended.json", "findings.json",
             "evidence.sqlite", "status.json", ".finegrade", "record.jsonl", "spec.json"):  # fmt: skip
    for place in (".", "/tmp", "/submission", "/opt/finegrade", "/run", os.path.dirname(T["evidence"]),
                  "/autograder/results"):  # fmt: skip
        try:
            with open(os.path.join(place, name), "wb") as file:
                file.write(text)
        except OSError:
            pass
for number in range(3, 64):
    try:
        os.write(number, text)
        say(f"ESCAPED: somebody listens on descriptor {number}")
    except OSError:
        pass
for pid in ("self", 1, os.getppid()):
    for number in range(64):
        for path in (f"/proc/{pid}/fd/{number}",):
            try:
                handle = os.open(path, os.O_WRONLY | os.O_NONBLOCK)
                os.write(handle, text)
            except OSError:
                pass
os._exit(7)
