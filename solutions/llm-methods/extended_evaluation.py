# finegrade simulate -- python extended_evaluation.py
"""Bonus challenge: one benchmark of your own for all three approaches.

Asks the DSPy program of Part 1, the tuned model of Part 2 and the adapter of Part 3 the questions
of `benchmark.jsonl`, and writes the share of right answers of each to `benchmark_results.json`.
Names on the command line choose the approaches; the results of the others stay as they are.

The contract. The grader asks your program and your adapter itself. For Part 2 it runs this file
with the argument `openai`: then nobody else is asked, and the tuned model gets every question, one
request each.
"""

import argparse
import json
from pathlib import Path

import openai
import openai_domain_finetune as finetune

HERE = Path(__file__).parent
BENCHMARK = HERE / "benchmark.jsonl"  # 50 to 200 chats, each a question and its short answer
RESULTS = HERE / "benchmark_results.json"


def ask_dspy(chats):
    """Return the answers of the enhanced program of Part 1."""
    ### BEGIN SOLUTION: ask_dspy(): connect(), ask build_program(). Seen in: EVL012
    import dspy  # here, because with another approach chosen nobody needs it
    from dspy_enhanced import build_program
    from dspy_example import connect

    dspy.configure(lm=connect())
    program = build_program()
    return [program(question=chat[-2]["content"]).answer for chat in chats]
    ### END SOLUTION


def ask_openai(chats):
    """Return the answers of the model that Part 2 tunes; it is tuned here if it is not there."""
    ### BEGIN SOLUTION: ask_openai(): tuned_job() and ask() of Part 2. Seen in: EVL013
    client = openai.OpenAI(timeout=30.0, max_retries=0)
    job = finetune.tuned_job(client, finetune.BASE, poll_seconds=2.0)
    answers, _ = finetune.ask(client, job.fine_tuned_model, chats)
    return answers
    ### END SOLUTION


def ask_lora(chats):
    """Return the answers of the adapter of Part 3."""
    ### BEGIN SOLUTION: ask_lora(): load() and answer() of inference.py. Seen in: EVL014
    from inference import answer, load

    model, tokenizer = load(str(HERE / "course-model"), str(HERE / "adapter"))
    return [answer(model, tokenizer, chat[-2]["content"]) for chat in chats]
    ### END SOLUTION


ASK = {"dspy": ask_dspy, "openai": ask_openai, "lora": ask_lora}


def earlier_results():
    """Return what an earlier run found out, by approach."""
    if not RESULTS.exists():
        return {}
    return json.loads(RESULTS.read_text(encoding="utf-8"))["approaches"]


def main():
    """Ask the chosen approaches one after another; write the results after each."""
    parser = argparse.ArgumentParser(description="Evaluate the approaches on one benchmark.")
    parser.add_argument("approaches", nargs="*", help=f"of {', '.join(ASK)}; without any, all")
    chosen = parser.parse_args().approaches or list(ASK)
    if not set(chosen) <= set(ASK):
        parser.error(f"choose from {', '.join(ASK)}")
    try:
        chats = finetune.read_chats(BENCHMARK)
    except finetune.Stop as reason:
        raise SystemExit(str(reason)) from reason
    found = earlier_results()
    for name in chosen:
        found[name] = {"exact_match": round(finetune.score(ASK[name](chats), chats), 4)}
        print(f"Exact match of {name}: {found[name]['exact_match']:.0%} of {len(chats)}")
        results = {"questions": len(chats), "approaches": found}
        RESULTS.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
