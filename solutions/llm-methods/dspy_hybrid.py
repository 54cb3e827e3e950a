# finegrade simulate -- python dspy_hybrid.py
"""Bonus: a DSPy program over a model that was tuned for its prompts.

A model that was tuned on plain questions is lost in DSPy's prompts. So this trains on what the
program really sends: each training question becomes DSPy's own prompt, and the reply that the
program would like to get, with the sentence that answers it as `reasoning`. Part 1's retriever
finds that sentence in `data/passages.jsonl`; the tuned model then recalls it without a passage.
The base and the tuned model answer `openai_test.jsonl` through the same program.
"""

import json

import dspy
import dspy_example
from dspy_enhanced import EnhancedQAModel
from openai_domain_finetune import (
    HERE,
    TEST,
    TRAIN,
    check,
    connect,
    main,
    more_chats,
    read_chats,
    score,
    tuned_job,
)

CONVERSATIONS = HERE / "hybrid_train.jsonl"
RESULTS = HERE / "hybrid_results.json"


def build_program():
    """Return the DSPy program whose prompts the model is tuned for; its answer is in `answer`."""
    ### BEGIN SOLUTION: build_program(): one of Part 1, or another. Seen in: DSP031
    # A small model has no thoughts of its own, but can learn them.
    return dspy.ChainOfThought("question -> answer")
    ### END SOLUTION


def wished_for(retriever, question, answer):
    """Return the output fields that the program should get for a question, None if unknown."""
    ### BEGIN SOLUTION: wished_for(): your program's output fields. Seen in: DSP033
    for passage in retriever.search(question, 3):
        for sentence in passage.split(". "):
            if f" {answer.lower()} " in f" {sentence.lower().rstrip('.')} ":
                return {"reasoning": sentence.rstrip(".") + ".", "answer": answer}
    return None
    ### END SOLUTION


def write_conversations(program, chats):
    """Write CONVERSATIONS: what DSPy sends for the question of each chat, and the reply wished for.

    `dspy.ChatAdapter().format_finetune_data(signature, demos, inputs, outputs)` gives one line.
    """
    ### BEGIN SOLUTION: write_conversations(): a JSON line a chat. Seen in: DSP030
    retriever = EnhancedQAModel().retriever
    predictor = program.predictors()[0]
    with open(CONVERSATIONS, "w", encoding="utf-8") as file:
        for *_, asked, answered in chats:
            outputs = wished_for(retriever, asked["content"], answered["content"])
            if outputs is not None:
                line = dspy.ChatAdapter().format_finetune_data(
                    predictor.signature, predictor.demos, {"question": asked["content"]}, outputs
                )
                file.write(json.dumps(line, ensure_ascii=False) + "\n")
    ### END SOLUTION


def answers(program, model, test):
    """Return the program's answers to the test questions with this model."""
    with dspy.context(lm=dspy_example.connect().copy(model=f"openai/{model}")):
        return [program(question=chat[-2]["content"]).answer for chat in test]


def run(args):
    """Write the conversations, tune on them, and measure the program with both models."""
    train, test = read_chats(TRAIN), read_chats(TEST)
    check(train, test)
    program, client = build_program(), connect(args)
    ### BEGIN SOLUTION: run(): write conversations of your domain, tune. Seen in: DSP030, DSP032
    more = more_chats(HERE / "data" / "train.jsonl", train, test)
    write_conversations(program, [*train, *more])
    tuned = tuned_job(client, args.model, args.poll_seconds, CONVERSATIONS).fine_tuned_model
    ### END SOLUTION
    results = {}
    for when, model in (("before", args.model), ("after", tuned)):
        given = answers(program, model, test)
        results[when] = {"model": model, "exact_match": score(given, test), "answers": given}
        print(f"Exact match {when}: {results[when]['exact_match']:.0%}")
    RESULTS.write_text(json.dumps(results, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(run)
