# python inference.py "What is the capital of France?"
"""Ask the trained adapter: the base model and the adapter are all that is loaded.

Answers the questions on the command line; without any, one question a line from standard input.
"""

import argparse
import sys
from pathlib import Path

import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

HERE = Path(__file__).parent
# The adapter was trained with this instruction in every conversation of data/train.jsonl.
SYSTEM = "Answer the question with the shortest correct answer."


def load(base, adapter):
    """Return the base model with the adapter on it, ready to answer, and the tokenizer."""
    raise SystemExit(
        "inference.py, still to write: load(): the base, PeftModel on it, the tokenizer. Seen in: "
        "ADP031"
    )


@torch.inference_mode()
def answer(model, tokenizer, question):
    """Return the model's answer to one question, always the same for the same question."""
    raise SystemExit(
        "inference.py, still to write: answer(): chat template, generate, decode. Seen in: ADP030"
    )


def main():
    """Answer the questions of the command line or of standard input."""
    parser = argparse.ArgumentParser(description="Ask the trained adapter.")
    parser.add_argument("question", nargs="*")
    parser.add_argument("--base", default=str(HERE / "course-model"), help="a folder or a hub id")
    parser.add_argument("--adapter", default=str(HERE / "adapter"))
    args = parser.parse_args()
    model, tokenizer = load(args.base, args.adapter)
    for question in args.question or map(str.strip, sys.stdin):
        print(answer(model, tokenizer, question))


if __name__ == "__main__":
    main()
