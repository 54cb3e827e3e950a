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
    ### BEGIN SOLUTION: encode(): give prompt tokens the label -100. Seen in: EVL001 (gain)
    prompt = prompt_of(tokenizer, chat)
    answer = tokenizer.apply_chat_template(chat, tokenize=False)[len(prompt) :]
    # The chat template has written the special tokens already: the tokenizer must not add more.
    question_ids, answer_ids = tokenizer([prompt, answer], add_special_tokens=False).input_ids
    labels = [-100] * len(question_ids) + answer_ids
    return {"input_ids": question_ids + answer_ids, "labels": labels}
    ### END SOLUTION


@torch.inference_mode()
def evaluate(model, tokenizer, chats):
    """Return the mean exact match and token F1 on all chats, and tokens per second."""
    ### BEGIN SOLUTION: evaluate(): answer, score, time generate(). Seen in: SRC005, EVL004
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
    ### END SOLUTION


def train(model, tokenizer, chats, validation, args):
    """Train the adapter until `args.epochs` or until the validation loss rises.

    Afterwards the model holds the epoch of the lowest validation loss. Returns that loss and the
    epochs that were trained.
    """
    ### BEGIN SOLUTION: train(): checkpoints, early stopping. Seen in: ADP021, checkpoints/
    settings = TrainingArguments(
        output_dir=args.out / "checkpoints",
        num_train_epochs=args.epochs,
        per_device_train_batch_size=args.batch_size,
        learning_rate=args.lr,
        seed=args.seed,
        eval_strategy="epoch",
        save_strategy="epoch",
        save_total_limit=2,  # the best epoch and the last
        load_best_model_at_end=True,
        metric_for_best_model="eval_loss",
        report_to="none",
    )
    trainer = Trainer(
        model=model,
        args=settings,
        train_dataset=Dataset.from_list([encode(tokenizer, chat) for chat in chats]),
        eval_dataset=Dataset.from_list([encode(tokenizer, chat) for chat in validation]),
        data_collator=DataCollatorForSeq2Seq(tokenizer),  # pads the labels with -100
        # After two epochs without a lower validation loss it only learns by heart.
        callbacks=[EarlyStoppingCallback(early_stopping_patience=2)],
    )
    trainer.train(resume_from_checkpoint=args.resume)
    return trainer.state.best_metric, trainer.state.epoch
    ### END SOLUTION


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
    ### BEGIN SOLUTION: main(): score, add LoRA, train, score, save. Seen in: ADP020, ADP022, SRC003
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
    loss, epochs = train(model, tokenizer, chats, validation, args)
    seconds = time.perf_counter() - started
    after, speed = evaluate(model, tokenizer, test)
    model.save_pretrained(args.out / "adapter")
    chosen = ("rank", "alpha", "targets", "lr", "epochs", "batch_size", "load_in_4bit")
    metrics = {
        "base": Path(args.base).name if Path(args.base).is_dir() else args.base,
        "seed": args.seed,
        "train_examples": len(chats),
        "hyperparameters": {name: getattr(args, name) for name in chosen},
        "validation_loss": loss,
        "epochs_trained": epochs,
        "stopped_early": epochs < args.epochs,
        "before": before,
        "after": after,
        "tokens_per_second": speed,
        "peak_memory_mb": peak_memory_mb(),
        "train_seconds": seconds,
    }
    (args.out / "metrics.json").write_text(json.dumps(metrics, indent=2) + "\n")
    ### END SOLUTION


if __name__ == "__main__":
    main()
