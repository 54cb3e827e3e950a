# finegrade simulate -- python dspy_enhanced.py
"""Part 1: your program and your metric, compared with the example's on the same questions.

Write three blocks. Until you do, the program and the metric are those of `dspy_example.py`.

The contract. The grader imports this file, with `dspy_example.py` and `data/` beside it, and uses:

- `build_program()`: a `dspy.Module`; calling it with `question=...` gives a prediction with
  `answer`. It asks the model that DSPy is configured with: configure nothing when imported.
- `EXTRA_EXAMPLES`: your five pairs.  `metric(example, prediction)`: a number from 0 to 1.
"""

import json
import math
import re
from collections import Counter
from pathlib import Path

import dspy
from dspy_example import (
    MODEL,
    EducationalQAModel,
    connect,
    exact_match,
    read_examples,
    simple_match,
)

HERE = Path(__file__).parent
PASSAGES = HERE / "data" / "passages.jsonl"  # one {"text": ...} a line: what may be looked up
TRAIN, TEST = HERE / "data" / "train.jsonl", HERE / "data" / "test.jsonl"
PROGRAM = HERE / "dspy_program.json"  # an optimised program, if you save one: JSON, never pickle

# Block 1. Five new pairs on a topic of your choice, each a dspy.Example with `question`, `answer`
# and, where other answers are right too, `aliases`. EXTRA_PASSAGES are texts to answer them from.
### BEGIN SOLUTION: fill both lists. Seen in: DSP006 (new), DSP007 (can be scored), DSP008 (tested)
# Young animals that the public data do not ask about.
_YOUNG = {
    "wolf": ("pup", "cub", "whelp"),
    "beaver": ("kit", "kitten"),
    "walrus": ("calf", "pup"),
    "gull": ("chick",),
    "hare": ("leveret",),  # the course model's reader lacks this word: see the report
}
EXTRA_EXAMPLES = [
    dspy.Example(
        question=f"What is the young of the {animal} called?", answer=name, aliases=others
    ).with_inputs("question")
    for animal, (name, *others) in _YOUNG.items()
]
EXTRA_PASSAGES = [f"The young of the {animal} is {name}." for animal, (name, *_) in _YOUNG.items()]
### STARTER
# EXTRA_EXAMPLES = []
# EXTRA_PASSAGES = []
### END SOLUTION


# Block 2. The example's program, to be made better by ONE of these:
# - retrieval: find passages in PASSAGES and give them to the model as an input field;
# - few-shot: set `predictor.demos`, or let `dspy.BootstrapFewShot` choose them from TRAIN, save the
#   program with `program.save(PROGRAM)` and load it in `build_program`;
# - structured reasoning: a dspy.Signature with output fields for the steps, `answer` last.
### BEGIN SOLUTION: change this class. Seen in: DSP002 (gain), DSP003 (asks the model), DSP004
class Retriever:
    """Finds passages by the words that they share with a question; rare words count for more."""

    def __init__(self, passages):
        """Index the passages, a list of texts."""
        self.passages = [(text, words(text)) for text in passages]
        found = Counter(word for _, known in self.passages for word in set(known))
        self.weights = {word: math.log(1 + len(passages) / n) for word, n in found.items()}

    def search(self, question, k):
        """Return the `k` passages that fit the question best, the best first."""
        asked = set(words(question))

        def fit(passage):
            shared = asked & set(passage[1])
            # Of two that share the same words the shorter one says less about something else.
            return sum(self.weights[word] for word in shared), -len(passage[1])

        return [text for text, _ in sorted(self.passages, key=fit, reverse=True)[:k]]


class EnhancedQAModel(dspy.Module):
    """Looks a passage up, and thinks about the question with the passage before it."""

    def __init__(self):
        super().__init__()
        with open(PASSAGES, encoding="utf-8") as lines:
            texts = [json.loads(line)["text"] for line in lines]
        self.retriever = Retriever(texts + EXTRA_PASSAGES)
        self.generate_answer = dspy.ChainOfThought("context: list[str], question -> answer")

    def forward(self, question):
        """Return a prediction with `reasoning` and `answer`."""
        # One passage: the reader is small, and mixes up what two of them say.
        context = self.retriever.search(question, k=1)
        return self.generate_answer(context=context, question=question)


### STARTER
# class EnhancedQAModel(EducationalQAModel):
#     """The example's program; write what you change: `__init__`, `forward`, or both."""
#
#
### END SOLUTION
def build_program():
    """Return the program that the grader asks, with its saved examples if there are any."""
    program = EnhancedQAModel()
    if PROGRAM.exists():
        program.load(PROGRAM)
    return program


# Block 3. A better metric than word matching. Right answers in other words must score more than
# lists of keywords; copies, another order, "not" and "A or B" must not pay; silence is worth 0.
### BEGIN SOLUTION: metric(), with the helpers it needs. Seen in: DSP020 to DSP027, a claim each
_FILLERS = (
    "a an the of in on at to by for from with out into and or than that this it its they there he "
    "she i you is are was were be been has have had do does did can would use uses one called "
    "known people"
)
_UNITS = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen "
    "sixteen seventeen eighteen nineteen"
)
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety"
FILLERS = set(_FILLERS.split())  # words that hold a sentence together
DENIALS = {"not", "no", "never", "neither", "without"}
REFUSAL = re.compile(
    r"\b(i (do not|can ?not|am (not|sorry|unable))|does not (say|tell)|no (idea|answer)|sorry|"
    r"unknown|as an ai)\b"
)
NUMBERS = {word: number for number, word in enumerate(_UNITS.split())}
NUMBERS |= {word: 10 * number for number, word in enumerate(_TENS.split(), start=2)}


def words(text):
    """Return the words of a text in small letters, numbers as digits, without endings."""
    text = text.lower().replace("n't", " not").replace("'s", "").replace("'m", " am")
    text = re.sub(r"(?<=\d),(?=\d{3})", "", text)  # 1,000
    found = []
    for word in re.findall(r"(?<!\w)-?\d+(?:\.\d+)?|[^\W\d_]+", text):
        number = NUMBERS.get(word)
        if number and number < 10 and found and found[-1] in map(str, range(20, 100, 10)):
            found[-1] = str(int(found[-1]) + number)  # "twenty", "six"
        elif number is not None:
            found.append(str(number))
        else:
            found.append(re.sub(r"(?<=\w{3})(es|ed|s)$", "", word))
    return found


def metric(example, prediction, trace=None):
    """Return how right an answer is: 0 (wrong, silent, a refusal) to 1, by its best reference.

    `trace` is what DSPy's optimisers pass; the score does not depend on it.
    """
    answer = getattr(prediction, "answer", None) or ""
    references = [example.answer, *(example.get("aliases") or ())]
    return max(score(answer, one, example.get("question") or "") for one in references)


def score(answer, reference, question):
    """Return the score of one answer against one reference, 0 to 1."""
    said, expected = words(answer), words(reference)
    if not said or said == expected:
        return float(said == expected)
    if REFUSAL.search(" ".join(said)):
        return 0.0
    # What the question said already and what only holds a sentence together says nothing new.
    old = (FILLERS | set(words(question))) - set(expected)
    given = [word for word in said if word not in old]
    wanted = [word for word in expected if word not in FILLERS] or expected
    shared = (Counter(given) & Counter(wanted)).total()
    value = 2 * shared / (len(given) + len(wanted)) if given else 0.0
    order = [word for word in dict.fromkeys(given) if word in wanted]
    if given != wanted and order != [word for word in dict.fromkeys(wanted) if word in order]:
        value *= 0.8  # the words in another order may still be a paraphrase
    if DENIALS & set(said) and not DENIALS & set(expected):
        value *= 0.1
    if "or" in said and "or" not in expected:
        value *= 0.25  # whoever names two answers knows neither
    long = len(said) > len(expected) + 1 or (len(said) > 3 and FILLERS & set(expected))
    if long and not FILLERS & set(said):
        value *= 0.25  # a list of keywords, or copies, and no sentence
    return value


### STARTER
# def metric(example, prediction, trace=None):
#     """Return how right an answer is, from 0 (wrong, empty, a refusal) to 1."""
#     return simple_match(example, prediction)
#
#
### END SOLUTION
def evaluate(program, examples):
    """Return three mean scores of a program's answers: exact match, the example's, and yours."""
    run = dspy.Evaluate(devset=examples, metric=metric, num_threads=8, display_progress=False)
    answered = [(example, prediction) for example, prediction, _ in run(program).results]
    scores = {
        "exact_match": [exact_match(e, p) for e, p in answered],
        "simple_match": [simple_match(e, p) if p.get("answer") else 0 for e, p in answered],
        "metric": [metric(e, p) for e, p in answered],
    }
    return {name: round(sum(values) / len(values), 4) for name, values in scores.items()}


def main():
    """Score the example's program and yours on the same questions; write dspy_results.json."""
    dspy.configure(lm=connect())
    test = read_examples(TEST)
    results = {"model": MODEL, "test_questions": len(test), "programs": {}}
    print(f"{'program':<12}{'exact':>8}{'simple':>8}{'metric':>8}{'five new':>10}")
    for name, program in (("original", EducationalQAModel()), ("enhanced", build_program())):
        row = {"test": evaluate(program, test)}
        shown = "".join(f"{value:>8.1%}" for value in row["test"].values())
        if EXTRA_EXAMPLES:
            row["extra"] = evaluate(program, EXTRA_EXAMPLES)
            shown += f"{row['extra']['metric']:>10.1%}"
        results["programs"][name] = row
        print(f"{name:<12}{shown}")
    (HERE / "dspy_results.json").write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
