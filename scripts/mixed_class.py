"""Grade six honest submissions, then the same six beside six hostile ones, and compare.

Usage: scripts/mixed_class.py. The honest ones are workflows of tests/experts/variants/openai and of
the solution; each hostile one does harm of another kind. Every grading trains anew. Prints what
differs in the findings and scores of the honest ones, and both wall times with their ratio.
Exit code: 0 when the honest results are equal byte for byte, else 1.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
import time
from pathlib import Path

from grade_twice import DATA, SCRIPT, SOLUTION, differences, graded, write_class

HONEST = ("solution", "good", "naive", "busy", "swallows", "two_jobs")

_CLIENT = "from openai import OpenAI\n\nclient = OpenAI()\n"
_ASK = (
    'client.chat.completions.create(model="gpt-4.1-mini", '
    'messages=[{"role": "user", "content": "What is an atom made of?"}], '
)

FLOODS_WITH_SCHEMAS = f"""{_CLIENT}
import threading

names = [f"p{{number}}" for number in range(3000)]
parts = [{{"type": "object", "properties": {{name: {{"type": "string"}}}}}} for name in names]
schema = {{"name": "s", "schema": {{"anyOf": parts}}}}

def ask():
    try:
        {_ASK}n=128, response_format={{"type": "json_schema", "json_schema": schema}})
    except Exception as error:
        print(type(error))

threads = [threading.Thread(target=ask) for _ in range(6)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
"""
BREAKS_THE_BATCH = f"""{_CLIENT}
schema = {{"name": "s", "schema": {{"$ref": "#"}}}}
for number in range(50):
    try:
        {_ASK}response_format={{"type": "json_schema", "json_schema": schema}})
    except Exception as error:
        print(type(error))
"""
WANTS_A_FAULT = """
import json, os, urllib.request

url = os.environ["OPENAI_BASE_URL"] + "/chat/completions"
body = json.dumps({"model": chr(0xD800), "messages": [{"role": chr(0xDFFF), "content": ""}]})
headers = {"Authorization": "Bearer " + os.environ["OPENAI_API_KEY"]}
headers["Content-Type"] = "application/json"
for number in range(5):
    try:
        urllib.request.urlopen(urllib.request.Request(url, body.encode(), headers))
    except Exception as error:
        print(error)
"""
TRAINS_BIG_BATCHES = f"""{_CLIENT}
import io, json

numbers = {{"batch_size": 256, "n_epochs": 1}}
words = "energy " * 900
lines = "".join(
    json.dumps({{"messages": [{{"role": "user", "content": f"{{i}} {{words}}"}},
                            {{"role": "assistant", "content": "yes"}}]}}) + "\\n"
    for i in range(300)
)
file = client.files.create(file=("train.jsonl", io.BytesIO(lines.encode())), purpose="fine-tune")
job = client.fine_tuning.jobs.create(
    model="gpt-4.1-mini-2025-04-14", training_file=file.id,
    method={{"type": "supervised", "supervised": {{"hyperparameters": numbers}}}},
)
import time
for _ in range(20):
    time.sleep(10)
    print(client.fine_tuning.jobs.retrieve(job.id).status)
"""
NEVER_ENDS = "while True:\n    pass\n"
LEAVES_MUCH = """
from pathlib import Path

for number in range(60):
    Path(f"left{number}.json").write_bytes(b"[" + b"1," * 500_000 + b"1]")
"""
HOSTILE = {
    "x-schemas": FLOODS_WITH_SCHEMAS,
    "x-batch": BREAKS_THE_BATCH,
    "x-fault": WANTS_A_FAULT,
    "x-training": TRAINS_BIG_BATCHES,
    "x-endless": NEVER_ENDS,
    "x-harvest": LEAVES_MUCH,
}


def main() -> int:
    """Grade both classes, compare and print."""
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        write_class(work / "honest", list(HONEST))
        shutil.copytree(work / "honest", work / "mixed")
        for name, script in HOSTILE.items():
            _write_hostile(work / "mixed" / name, script)
        results, seconds = [], []
        for name in ("honest", "mixed"):
            began = time.monotonic()
            results.append(graded(work / name, work / f"{name}-graded"))
            seconds.append(time.monotonic() - began)
            print(f"{name}: {len(results[-1])} results in {seconds[-1]:.0f} s", flush=True)
        honest, mixed = results
        found = differences(honest, {name: mixed[name] for name in honest})
        print("\n".join(found) or f"{len(honest)} honest results are equal, byte for byte.")
        print(f"The mixed class takes {seconds[1] / seconds[0]:.2f} times as long.")
        for name in HOSTILE:
            told = json.loads(mixed[name])
            print(f"{name}: {told['status']}, {told['points']} points")
    return 1 if found else 0


def _write_hostile(home: Path, script: str) -> None:
    """A submission that runs `script`, and tries to name a classmate and to hide code as well."""
    home.mkdir(parents=True)
    (home / SCRIPT).write_text(script)
    for file in DATA:
        shutil.copy(SOLUTION / file, home)
    (home / HONEST[0]).mkdir()
    (home / HONEST[0] / SCRIPT).write_text("print('not by this classmate')\n")
    (home / "submissions.csv").write_text(f"student,submitted_at\n{HONEST[1]},2020-01-01\n")
    (home / "venv").mkdir()
    (home / "venv" / "openai.py").write_text("OpenAI = None\n")


if __name__ == "__main__":
    sys.exit(main())
