# python huggingface_custom_lora.py --rank 8 --alpha 16 --targets all-linear --epochs 12
"""Part 3: train your own LoRA adapter and measure what it changes.

Scores the base model on the test questions, trains an adapter with a checkpoint after every epoch
and early stopping, scores it on the same questions, and writes `adapter/` and `metrics.json`.
`trials.py` runs it with other settings: keep the options of the command line.
"""

import argparse
import getpass
import json
import sys
import time
import zlib
from pathlib import Path

import torch
from datasets import Dataset
from peft import LoraConfig, get_peft_model, prepare_model_for_kbit_training
from transformers import (
    DataCollatorForSeq2Seq,
    EarlyStoppingCallback,
    Trainer,
    TrainingArguments,
    set_seed,
)

from common import exact_match, load_base, prompt_of, read_chats, token_f1

HERE = Path(__file__).parent
# Two students with the same seed, data and settings train the same adapter, number for number,
# and a grader cannot tell that from a copy. So the default seed comes from your login name.
OWN_SEED = zlib.crc32(getpass.getuser().encode()) % 2**31


def parse_arguments():
    """Return the choices made on the command line."""
    parser = argparse.ArgumentParser(description="Train and measure a LoRA adapter.")
    parser.add_argument("--base", default=str(HERE / "course-model"), help="a folder or a hub id")
    parser.add_argument("--data", type=Path, default=HERE / "data")
    parser.add_argument("--out", type=Path, default=HERE, help="for adapter/ and metrics.json")
    parser.add_argument("--targets", default="all-linear", help="or layer names: q_proj,v_proj")
    # A tiny model's weights must move far; models of a billion parameters and more use 2e-4.
    parser.add_argument("--lr", type=float, default=5e-3)
    numbers = {"rank": 8, "alpha": 16, "epochs": 12, "batch-size": 16, "seed": OWN_SEED}
    for name, default in numbers.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--load-in-4bit", action="store_true", help="needs bitsandbytes")
    parser.add_argument("--resume", action="store_true", help="go on from the last checkpoint")
    return parser.parse_args()


def encode(tokenizer, chat):
    """Return the token ids of a chat and its labels, which are -100 where nothing is learnt."""
    raise SystemExit(
        "huggingface_custom_lora.py, still to write: encode(): give prompt tokens the label -100. "
        "Seen in: EVL001 (gain)"
    )


@torch.inference_mode()
def evaluate(model, tokenizer, chats):
    """Return the mean exact match and token F1 on all chats, and tokens per second."""
    raise SystemExit(
        "huggingface_custom_lora.py, still to write: evaluate(): answer, score, time generate(). "
        "Seen in: SRC005, EVL004"
    )


def train(model, tokenizer, chats, validation, args):
    """Train the adapter until `args.epochs` or until the validation loss rises.

    Afterwards the model holds the epoch of the lowest validation loss. Returns that loss and the
    epochs that were trained.
    """
    raise SystemExit(
        "huggingface_custom_lora.py, still to write: train(): checkpoints, early stopping. Seen in:"
        " ADP021, checkpoints/"
    )


def peak_memory_mb():
    """Return the most memory held so far, in MiB: the GPU's where there is one."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / 2**20
    try:
        import resource
    except ImportError:  # Windows
        import psutil

        return psutil.Process().memory_info().peak_wset / 2**20
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)  # macOS counts bytes


def main():
    """Measure, train, measure again, save."""
    args = parse_arguments()
    set_seed(args.seed)
    model, tokenizer = load_base(args.base, args.load_in_4bit)
    names = ("train.jsonl", "validation.jsonl", "test.jsonl")
    chats, validation, test = (read_chats(args.data / name) for name in names)
    raise SystemExit(
        "huggingface_custom_lora.py, still to write: main(): score, add LoRA, train, score, save. "
        "Seen in: ADP020, ADP022, SRC003"
    )


if __name__ == "__main__":
    main()
