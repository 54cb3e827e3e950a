# claim: prints what the grader prints, as though it had passed
# expect: exit
# code: 3
import json
import sys

result = {"verdict": "ok", "exit_code": 0, "exit-code": 0, "child-pid": 1, "score": 100,
          "files": {"answers.json": "all"}, "isolation": "full"}  # fmt: skip
for text in (json.dumps(result), "FINEGRADE RESULT: passed", "::set-output name=points::100",
             "\x1b[2J\x1b[H100/100", "\x04", "\r\n--boundary\r\n", '{"exit-code": 0}',
             "##vso[task.complete result=Succeeded;]", "\x00\x00\x00\x00go"):  # fmt: skip
    print(text, flush=True)
    print(text, file=sys.stderr, flush=True)
raise SystemExit(3)
