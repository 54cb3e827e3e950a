"""Ask the trained adapter one question."""

import sys

from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer


def main():
    """Print the answer to the question on the command line."""
    tokenizer = AutoTokenizer.from_pretrained("course-model")
    base = AutoModelForCausalLM.from_pretrained("course-model")
    model = PeftModel.from_pretrained(base, "adapter")
    chat = [{"role": "user", "content": sys.argv[1]}]
    prompt = tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)
    inputs = tokenizer(prompt, add_special_tokens=False, return_tensors="pt")
    output = model.generate(**inputs, max_new_tokens=16, do_sample=False)
    print(tokenizer.decode(output[0, inputs.input_ids.shape[1] :], skip_special_tokens=True))


if __name__ == "__main__":
    main()
