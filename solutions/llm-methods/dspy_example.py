# finegrade simulate -- python dspy_example.py
"""Part 1, the example: a DSPy program with a chain of thought, scored by matching words.

It asks whatever service the environment names: OPENAI_BASE_URL, OPENAI_API_KEY and, for another
model than the course's, FINEGRADE_MODEL. `finegrade simulate` sets the first two.
"""

import json
import os
import string
from pathlib import Path

import dspy

HERE = Path(__file__).parent
MODEL = os.environ.get("FINEGRADE_MODEL", "course-model-reader")
QUESTIONS = {
    "What is the capital of Namibia?": "Windhoek",
    "On which continent is Finland?": "Europe",
    "What is the currency of Botswana?": "pula",
    "Name the chemical symbol of radon.": "Rn",
    "Give the atomic number of tantalum.": "73",
    "Which kind of animal is the bat?": "mammal",
    "What is the young of the alpaca called?": "cria",
    "Which language is mainly spoken in Tunisia?": "Arabic",
}
EXAMPLES = [
    dspy.Example(question=question, answer=answer).with_inputs("question")
    for question, answer in QUESTIONS.items()
]


class EducationalQAModel(dspy.Module):
    """Answers a question and gives its chain of thought."""

    def __init__(self):
        super().__init__()
        self.generate_answer = dspy.Predict("question -> answer, reasoning")

    def forward(self, question):
        """Return a prediction with `answer` and `reasoning`."""
        return self.generate_answer(question=question)


def simple_match(example, prediction, trace=None):
    """Return 1.0 if every word of the expected answer stands anywhere in the given one."""
    given = (prediction.answer or "").lower().split()
    return float(all(word in given for word in example.answer.lower().split()))


def exact_match(example, prediction):
    """Return 1.0 if the answer is the expected one, but for case, punctuation and articles."""

    def words(text):
        text = text.lower().translate(str.maketrans("", "", string.punctuation))
        return [word for word in text.split() if word not in ("a", "an", "the")]

    return float(words(prediction.get("answer") or "") == words(example.answer))


def read_examples(path):
    """Return the questions and answers of a JSONL file of chats, as DSPy examples."""
    with open(path, encoding="utf-8") as lines:
        chats = [json.loads(line)["messages"] for line in lines if line.strip()]
    return [
        dspy.Example(question=chat[-2]["content"], answer=chat[-1]["content"]).with_inputs(
            "question"
        )
        for chat in chats
    ]


def connect():
    """Return the language model that the environment names."""
    if "OPENAI_API_KEY" not in os.environ:
        raise SystemExit(
            "No service is named. Put `finegrade simulate --` before this command, or set "
            "OPENAI_API_KEY (and OPENAI_BASE_URL, unless it is OpenAI's own)."
        )
    os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")  # DSPy's prices: not from the web
    options = {"api_key": os.environ["OPENAI_API_KEY"]}
    if os.environ.get("OPENAI_BASE_URL"):
        options["api_base"] = os.environ["OPENAI_BASE_URL"]
    return dspy.LM(
        f"openai/{MODEL}",
        engine="lm15",  # DSPy's own client, which needs nothing from the network
        temperature=0,  # the same answer every time
        max_tokens=300,
        cache=False,  # the cache forgets which service an answer came from
        **options,
    )


def main():
    """Ask every question, and print what the model thought, what it said, and the score."""
    dspy.configure(lm=connect())
    model = EducationalQAModel()
    scores = []
    for example in EXAMPLES:
        prediction = model(question=example.question)
        scores.append(simple_match(example, prediction))
        print(f"Question:  {example.question}")
        print(f"Reasoning: {prediction.reasoning}")
        print(f"Answer:    {prediction.answer} (expected: {example.answer})\n")
    print(f"Simple match: {sum(scores) / len(scores):.1%} of {len(scores)} questions")


if __name__ == "__main__":
    main()
