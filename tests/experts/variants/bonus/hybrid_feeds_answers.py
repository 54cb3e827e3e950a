"""Puts the expected answer of each test question into its prompt."""

import dspy
import dspy_example
import good_hybrid as good
import openai_domain_finetune as part2


def run(args):
    test = part2.read_chats(part2.TEST)
    client = part2.connect(args)
    job = part2.tuned_job(client, args.model, 10)
    good.answers(good.build_program(), args.model, test)
    read = dspy.ChainOfThought("context: list[str], question -> answer")
    lm = dspy_example.connect().copy(model=f"openai/{job.fine_tuned_model}")
    with dspy.context(lm=lm):
        for chat in test:
            known = [f"What is asked for is {chat[-1]['content']}."]
            print(read(context=known, question=chat[-2]["content"]).answer)


part2.main(run)
