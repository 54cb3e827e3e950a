"""Ask the trained adapter the questions on the command line."""

import sys
from pathlib import Path

from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

HERE = Path(__file__).parent
SYSTEM = "Answer the question with the shortest correct answer."


def main():
    """Print an answer a line."""
    tokenizer = AutoTokenizer.from_pretrained(HERE / "course-model")
    base = AutoModelForCausalLM.from_pretrained(HERE / "course-model")
    model = PeftModel.from_pretrained(base, HERE / "adapter").eval()
    for question in sys.argv[1:]:
        chat = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": question}]
        prompt = tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)
        # The chat template has written the special tokens already.
        inputs = tokenizer(prompt, add_special_tokens=False, return_tensors="pt")
        output = model.generate(**inputs, max_new_tokens=16, do_sample=False)
        print(tokenizer.decode(output[0, inputs.input_ids.shape[1] :], skip_special_tokens=True))


if __name__ == "__main__":
    main()
