# python huggingface_lora.py
"""The example: teach a small model to answer school questions with a LoRA adapter.

It reads the model in `course-model/` and the questions in `data/`, trains for a few epochs, asks
three questions and saves the adapter. It runs on a laptop without a GPU within a minute.
Your own version goes into `huggingface_custom_lora.py`.
"""

from pathlib import Path

from datasets import Dataset
from peft import LoraConfig, get_peft_model
from transformers import DataCollatorForLanguageModeling, Trainer, TrainingArguments

from common import load_base, prompt_of, read_chats

HERE = Path(__file__).parent


def ask(model, tokenizer, chat):
    """Return the model's own answer where the conversation ends with the expected one."""
    # The chat template has written the special tokens already: the tokenizer must not add more.
    inputs = tokenizer(prompt_of(tokenizer, chat), add_special_tokens=False, return_tensors="pt")
    output = model.generate(**inputs.to(model.device), max_new_tokens=16, do_sample=False)
    # The output begins with the prompt; only what comes after it is the answer.
    new = output[0, inputs.input_ids.shape[1] :]
    return tokenizer.decode(new, skip_special_tokens=True).strip()


model, tokenizer = load_base(HERE / "course-model")

# Every chat becomes one line of text, and the line becomes token numbers.
chats = read_chats(HERE / "data" / "train.jsonl")
texts = [tokenizer.apply_chat_template(chat, tokenize=False) for chat in chats]
train_set = Dataset.from_dict(dict(tokenizer(texts, add_special_tokens=False)))

# The base model stays frozen. Only two small matrices beside each of these layers are trained.
model = get_peft_model(
    model,
    LoraConfig(r=4, lora_alpha=8, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM"),
)
model.print_trainable_parameters()

trainer = Trainer(
    model=model,
    args=TrainingArguments(
        output_dir=HERE / "example-run",
        num_train_epochs=3,
        per_device_train_batch_size=16,
        # The course model is tiny, so its weights must move far: models of a billion parameters
        # and more use about 2e-4.
        learning_rate=5e-3,
        save_strategy="no",
        report_to="none",
    ),
    train_dataset=train_set,
    data_collator=DataCollatorForLanguageModeling(tokenizer, mlm=False),
)
trainer.train()

for chat in read_chats(HERE / "data" / "test.jsonl")[:3]:
    question, expected = (message["content"] for message in chat[-2:])
    print(f"{question}\n  expected: {expected}\n  answered: {ask(model, tokenizer, chat)}")
model.save_pretrained(HERE / "example-adapter")
