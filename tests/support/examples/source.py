"""Examples of SRC0xx: a training script, and what it lacks."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from grader.core.nouns import Evidence
from support.examples.writers import NO_EVIDENCE, Examples, Writer
from support.paths import STARTER

GOOD: Final = '''"""Train an adapter on the course model and measure it."""
import json
import resource
import time
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers import EarlyStoppingCallback, Trainer, TrainingArguments

def evaluate(model, tokenizer, questions):
    """Return the share of questions answered right."""
    # One point a question, no half.
    right = 0
    started = time.perf_counter()
    for question, answer in questions:
        tokens = model.generate(**tokenizer(question, return_tensors="pt"))
        right += tokenizer.decode(tokens[0]) == answer
    return right / len(questions), time.perf_counter() - started

def main():
    """Do all of it, in order."""
    tokenizer = AutoTokenizer.from_pretrained("course-model")
    model = AutoModelForCausalLM.from_pretrained("course-model")
    # [[question, answer]]
    questions = json.load(open("questions.json"))
    before = evaluate(model, tokenizer, questions)
    config = LoraConfig(r=8, lora_alpha=16, target_modules=["q_proj"])
    model = get_peft_model(model, config)
    arguments = TrainingArguments("out", save_strategy="epoch", eval_strategy="epoch")
    stop = EarlyStoppingCallback(2)
    trainer = Trainer(model, arguments, train_dataset=questions, callbacks=[stop])
    trainer.train()
    after = evaluate(model, tokenizer, questions)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    model.save_pretrained("adapter")
    print(before, after, memory)

# Not when another script imports it.
if __name__ == "__main__":
    main()
'''

INFERENCE: Final = '''"""Answer one question with the adapter."""
import sys
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained("course-model")
model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained("course-model"), "adapter")
tokens = model.generate(**tokenizer(sys.argv[1], return_tensors="pt"))
print(tokenizer.decode(tokens[0]))
'''


def _scripts(training: str = GOOD, inference: str = INFERENCE) -> Writer:
    """A submission of Part 3 with these scripts."""

    def write(folder: Path) -> Mapping[str, Evidence]:
        home = folder / "s01"
        (home / "adapter").mkdir(parents=True)
        (home / "adapter" / "adapter_config.json").write_text("{}\n")
        (home / "metrics.json").write_text("{}\n")
        (home / "huggingface_custom_lora.py").write_text(training)
        (home / "inference.py").write_text(inference)
        return NO_EVIDENCE

    return write


def _with(old: str, new: str) -> tuple[Writer, Writer]:
    """The good script, and the same with this change."""
    assert old in GOOD
    return _scripts(), _scripts(GOOD.replace(old, new))


_SAVES = 'model.save_pretrained("adapter")'
_NO_DOCSTRINGS = "\n".join(line for line in GOOD.split("\n") if not line.strip().startswith('"""'))
_KIT_EXAMPLE = (STARTER / "llm-methods" / "huggingface_lora.py").read_text()
_KEY = '\nimport os\nos.environ["OPENAI_API_KEY"] = "sk-aB3dE5gH7jK9mN1pQ3sT5vW7"\n'

EXAMPLES: Examples = {
    "SRC001": _with("def main():", "def main(:"),
    "SRC002": _with(_SAVES, 'raise NotImplementedError("save the adapter")'),
    "SRC003": _with(', target_modules=["q_proj"]', ""),
    "SRC004": _with(", callbacks=[stop]", ""),
    "SRC005": _with("before = evaluate", "before = 0.0  # evaluate"),
    "SRC006": _with("resource.getrusage(resource.RUSAGE_SELF).ru_maxrss", "500"),
    "SRC007": _with(_SAVES, 'tokenizer.save_pretrained("adapter")'),
    "SRC008": (_scripts(), _scripts(inference=INFERENCE + "\nimport datasets\n")),
    "SRC009": (_scripts(), _scripts(_NO_DOCSTRINGS)),
    "SRC010": (_scripts(), _scripts(GOOD + _KEY)),
    "SRC011": (_scripts(), _scripts("# python huggingface_lora.py\n" + _KIT_EXAMPLE)),
}
