"""What an honest student's program does: it reads, computes, asks, waits and writes."""

import hashlib
import json
import os
import sys
import time
import urllib.error
import urllib.request


def ask(question):
    body = {
        "model": "gpt-4.1-nano-2025-04-14",
        "messages": [{"role": "user", "content": question}],
        "temperature": 0,
    }
    request = urllib.request.Request(
        os.environ.get("OPENAI_BASE_URL", "http://127.0.0.1:8000/v1") + "/chat/completions",
        json.dumps(body).encode(),
        {"Content-Type": "application/json", "Authorization": "Bearer run"},
    )
    try:
        with urllib.request.urlopen(request, timeout=10) as response:
            return json.load(response)["choices"][0]["message"]["content"]
    except urllib.error.HTTPError as error:
        return f"refused with {error.code}"


notes = open("notes.txt").read()
digest = hashlib.sha256(notes.encode() * 1000).hexdigest()
began = time.monotonic()
while time.monotonic() < began + 0.6:
    time.sleep(0.2)
answers = [ask(f"What is {n} plus {n}?") for n in range(3)] if "ask" in sys.argv else []
os.makedirs("out", exist_ok=True)
with open("out/answers.json", "w") as file:
    json.dump({"digest": digest, "answers": answers}, file)
print("arguments:", sys.argv[1:], "folder:", sorted(os.listdir(".")))
print("digest:", digest, "answers:", answers)
print("done", file=sys.stderr)
