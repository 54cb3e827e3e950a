"""Part 2: reads the training file as one JSON value, and crashes."""

import json

with open("openai_train.jsonl") as file:
    chats = json.load(file)
print(len(chats))
