# python huggingface_custom_lora.py --rank 4 --alpha 8 --epochs 16
"""Part 3: train your own LoRA adapter and measure what it changes.

Scores the base model on the test questions, trains an adapter with a checkpoint after every epoch
and early stopping, scores it on the same questions, and writes `adapter/` and `metrics.json`.
"""

import argparse
import getpass
import json
import sys
import time
import zlib
from pathlib import Path

import torch
from peft import (
    LoraConfig,
    get_peft_model,
    prepare_model_for_kbit_training,
    set_peft_model_state_dict,
)
from safetensors.torch import load_file
from transformers import set_seed

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
    parser.add_argument("--targets", default="q_proj,k_proj,v_proj,o_proj", help="or all-linear")
    # A tiny model's weights must move far; models of a billion parameters and more use 2e-4.
    parser.add_argument("--lr", type=float, default=5e-3)
    numbers = {"rank": 4, "alpha": 8, "epochs": 16, "batch-size": 16, "seed": OWN_SEED}
    for name, default in numbers.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--load-in-4bit", action="store_true", help="needs bitsandbytes")
    return parser.parse_args()


def encode(tokenizer, chat):
    """Return the token ids of a chat and its labels, which are -100 where nothing is learnt."""
    prompt = prompt_of(tokenizer, chat)
    answer = tokenizer.apply_chat_template(chat, tokenize=False)[len(prompt) :]
    # The chat template has written the special tokens already: the tokenizer must not add more.
    question_ids, answer_ids = tokenizer([prompt, answer], add_special_tokens=False).input_ids
    labels = [-100] * len(question_ids) + answer_ids
    return {"input_ids": question_ids + answer_ids, "labels": labels}


@torch.inference_mode()
def evaluate(model, tokenizer, chats):
    """Return the mean exact match and token F1 on all chats, and tokens per second."""
    exact, f1, tokens, seconds = 0.0, 0.0, 0, 0.0
    model.eval()  # no dropout
    for chat in chats:
        prompt = prompt_of(tokenizer, chat)
        inputs = tokenizer(prompt, add_special_tokens=False, return_tensors="pt")
        started = time.perf_counter()
        output = model.generate(**inputs.to(model.device), max_new_tokens=16, do_sample=False)
        seconds += time.perf_counter() - started
        new = output[0, inputs.input_ids.shape[1] :]
        answer = tokenizer.decode(new, skip_special_tokens=True)
        tokens += len(new)
        exact += exact_match(answer, chat[-1]["content"])
        f1 += token_f1(answer, chat[-1]["content"])
    return {"exact_match": exact / len(chats), "token_f1": f1 / len(chats)}, tokens / seconds


def batches(rows, size, pad, generator):
    """Yield padded batches of encoded chats, in an order of chance."""
    order = torch.randperm(len(rows), generator=generator).tolist()
    for start in range(0, len(order), size):
        chosen = [rows[at] for at in order[start : start + size]]
        longest = max(len(row["input_ids"]) for row in chosen)

        def padded(name, filler):
            return torch.tensor([r[name] + [filler] * (longest - len(r[name])) for r in chosen])

        ids, labels = padded("input_ids", pad), padded("labels", -100)
        lengths = torch.tensor([len(row["input_ids"]) for row in chosen])
        mask = (torch.arange(longest) < lengths[:, None]).long()
        yield {"input_ids": ids, "labels": labels, "attention_mask": mask}


def train(model, tokenizer, chats, validation, args):
    """Train the adapter; afterwards the model holds the epoch with the best validation score."""
    rows = [encode(tokenizer, chat) for chat in chats]
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=args.lr, weight_decay=0.0)
    steps = args.epochs * -(-len(rows) // args.batch_size)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, steps)
    generator = torch.Generator().manual_seed(args.seed)
    best, best_epoch, folder = -1.0, 0, HERE / "checkpoints"
    for epoch in range(1, args.epochs + 1):
        model.train()
        for batch in batches(rows, args.batch_size, tokenizer.pad_token_id, generator):
            batch = {name: tensor.to(model.device) for name, tensor in batch.items()}
            model(**batch).loss.backward()
            torch.nn.utils.clip_grad_norm_(weights, 1.0)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
        score = evaluate(model, tokenizer, validation)[0]["token_f1"]
        model.save_pretrained(folder / f"checkpoint-{epoch}")
        print(f"Epoch {epoch}: token F1 on the validation set {score:.3f}")
        if score > best:
            best, best_epoch = score, epoch
        elif epoch - best_epoch >= 3:
            print(f"Stopped early: no better for three epochs than epoch {best_epoch}.")
            break
    state = load_file(folder / f"checkpoint-{best_epoch}" / "adapter_model.safetensors")
    set_peft_model_state_dict(model, state)


def peak_memory_mb():
    """Return the most memory held so far, in MiB: the GPU's where there is one."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / 2**20
    import resource  # not on Windows: there, use psutil

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)  # macOS counts bytes


def main():
    """Measure, train, measure again, save."""
    args = parse_arguments()
    set_seed(args.seed)
    model, tokenizer = load_base(args.base, args.load_in_4bit)
    names = ("train.jsonl", "validation.jsonl", "test.jsonl")
    chats, validation, test = (read_chats(args.data / name) for name in names)
    before, _ = evaluate(model, tokenizer, test)
    if args.load_in_4bit:
        model = prepare_model_for_kbit_training(model, use_gradient_checkpointing=False)
    targets = args.targets if args.targets == "all-linear" else args.targets.split(",")
    lora = LoraConfig(
        r=args.rank, lora_alpha=args.alpha, target_modules=targets, task_type="CAUSAL_LM"
    )
    model = get_peft_model(model, lora)
    model.print_trainable_parameters()
    started = time.perf_counter()
    train(model, tokenizer, chats, validation, args)
    seconds = time.perf_counter() - started
    after, speed = evaluate(model, tokenizer, test)
    model.save_pretrained(HERE / "adapter")
    chosen = ("rank", "alpha", "targets", "lr", "epochs", "batch_size", "load_in_4bit")
    metrics = {
        "base": Path(args.base).name if Path(args.base).is_dir() else args.base,
        "seed": args.seed,
        "train_examples": len(chats),
        "hyperparameters": {name: getattr(args, name) for name in chosen},
        "before": before,
        "after": after,
        "tokens_per_second": speed,
        "peak_memory_mb": peak_memory_mb(),
        "train_seconds": seconds,
    }
    (HERE / "metrics.json").write_text(json.dumps(metrics, indent=2) + "\n")


if __name__ == "__main__":
    main()
