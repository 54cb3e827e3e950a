"""Tunes on plain questions: the model is lost in the prompts that the program sends."""

import good_hybrid as good
import openai_domain_finetune as part2


def run(args):
    test = part2.read_chats(part2.TEST)
    program, client = good.build_program(), part2.connect(args)
    job = part2.tuned_job(client, args.model, 10)
    for model in (args.model, job.fine_tuned_model):
        print(part2.score(good.answers(program, model, test), test))


part2.main(run)
