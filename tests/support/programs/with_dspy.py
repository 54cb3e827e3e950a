"""Fine-tune as DSPy does it; what it saw goes to standard output as JSON.

First through its OpenAI provider, then with BootstrapFinetune, whose teacher is the first model.
Arguments: the training file, the model. Where the service is, the environment says.
"""

import json
import sys
import time
from pathlib import Path

import dspy
from dspy.clients.openai import OpenAIProvider
from dspy.clients.utils_finetune import TrainDataFormat

path, model = Path(sys.argv[1]), sys.argv[2]
really_sleep = time.sleep
time.sleep = lambda seconds: really_sleep(min(seconds, 0.2))  # the provider polls every 20 s
dspy.configure_cache(enable_disk_cache=False, enable_memory_cache=False)
NUMBERS = {"n_epochs": 8, "batch_size": 1}


def right(example, prediction, trace=None):
    return example.answer.strip().lower() == prediction.answer.strip().lower()


def program(lm):
    made = dspy.Predict("question -> answer")
    made.set_lm(lm)
    return made


lines = [json.loads(line)["messages"] for line in path.read_text().splitlines()]
examples = [
    dspy.Example(question=messages[-2]["content"], answer=messages[-1]["content"]).with_inputs(
        "question"
    )
    for messages in lines
]
adapter = dspy.ChatAdapter()
signature = program(None).signature
lessons = [
    adapter.format_finetune_data(signature, [], example.inputs(), example.labels())
    for example in examples
]
base = dspy.LM(f"openai/{model}", temperature=0, max_tokens=48)
assert isinstance(base.provider, OpenAIProvider)
job = base.finetune(lessons, TrainDataFormat.CHAT, NUMBERS)
taught = job.result()
if isinstance(taught, Exception):
    raise taught

evaluate = dspy.Evaluate(devset=examples, metric=right, num_threads=8, display_progress=False)
base_score = evaluate(program(base)).score
optimizer = dspy.BootstrapFinetune(metric=right, train_kwargs=NUMBERS, num_threads=8)
student = optimizer.compile(program(base), trainset=examples, teacher=program(taught))
seen = {
    "taught": taught.model,
    "student": student.lm.model,
    "base_score": base_score,
    "taught_score": evaluate(program(taught)).score,
    "student_score": evaluate(student).score,
}
sys.stdout.write("\n" + json.dumps(seen))
