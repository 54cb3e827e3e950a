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
    cuda = torch.cuda.is_available()
    model = AutoModelForCausalLM.from_pretrained(
        base,
        dtype=torch.bfloat16 if cuda else torch.float32,
        device_map={"": "cuda" if cuda else "cpu"},
    )
    return PeftModel.from_pretrained(model, adapter).eval(), AutoTokenizer.from_pretrained(base)


@torch.inference_mode()
def answer(model, tokenizer, question):
    """Return the model's answer to one question, always the same for the same question."""
    chat = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": question}]
    prompt = tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)
    # The chat template has written the special tokens already: the tokenizer must not add more.
    inputs = tokenizer(prompt, add_special_tokens=False, return_tensors="pt").to(model.device)
    output = model.generate(**inputs, max_new_tokens=16, do_sample=False)
    new = output[0, inputs.input_ids.shape[1] :]
    return tokenizer.decode(new, skip_special_tokens=True).strip()


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
