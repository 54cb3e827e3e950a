"""Part 3: train a LoRA adapter on the course's questions, and score it before and after."""

import json
from pathlib import Path

import torch
from common import exact_match, load_base, prompt_of, read_chats
from datasets import Dataset
from peft import LoraConfig, get_peft_model
from transformers import DataCollatorForLanguageModeling, Trainer, TrainingArguments

HERE = Path(__file__).parent
TARGETS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


@torch.inference_mode()
def evaluate(model, tokenizer, chats):
    """Return the share of questions that the model answers right."""
    right = 0
    for chat in chats:
        text = prompt_of(tokenizer, chat)
        # The chat template has written the special tokens already.
        inputs = tokenizer(text, add_special_tokens=False, return_tensors="pt")
        output = model.generate(**inputs, max_new_tokens=16, do_sample=False)
        new = output[0, inputs.input_ids.shape[1] :]
        right += exact_match(tokenizer.decode(new, skip_special_tokens=True), chat[-1]["content"])
    return right / len(chats)


def main():
    """Measure, train, measure again, save."""
    model, tokenizer = load_base(HERE / "course-model")
    chats = read_chats(HERE / "data" / "train.jsonl")
    test = read_chats(HERE / "data" / "test.jsonl")
    before = evaluate(model, tokenizer, test)
    # Small matrices beside every linear layer; alpha at twice the rank, as is usual.
    model = get_peft_model(
        model, LoraConfig(r=8, lora_alpha=16, target_modules=TARGETS, task_type="CAUSAL_LM")
    )
    texts = [tokenizer.apply_chat_template(chat, tokenize=False) for chat in chats]
    Trainer(
        model=model,
        args=TrainingArguments(HERE / "run", num_train_epochs=2, learning_rate=5e-3, seed=7),
        train_dataset=Dataset.from_dict(dict(tokenizer(texts, add_special_tokens=False))),
        data_collator=DataCollatorForLanguageModeling(tokenizer, mlm=False),
    ).train()
    after = evaluate(model, tokenizer, test)
    model.save_pretrained(HERE / "adapter")
    scores = {"before": {"exact_match": before}, "after": {"exact_match": after}}
    (HERE / "metrics.json").write_text(json.dumps(scores))


if __name__ == "__main__":
    main()
