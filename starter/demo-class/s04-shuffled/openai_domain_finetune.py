"""Part 2: asks a model that somebody else tuned, and trains none."""

import json
import os
import urllib.request

question = {"role": "user", "content": "What is the currency of Peru?"}
request = urllib.request.Request(
    os.environ["OPENAI_BASE_URL"] + "/chat/completions",
    json.dumps({"model": "ft:gpt-4.1-mini:friend::abc", "messages": [question]}).encode(),
    {"Content-Type": "application/json", "Authorization": "Bearer " + os.environ["OPENAI_API_KEY"]},
)
print(urllib.request.urlopen(request).read())
