"""The tuned model is asked half of the test questions only."""

import good_hybrid as good
import openai_domain_finetune as part2


def run(args):
    train, test = part2.read_chats(part2.TRAIN), part2.read_chats(part2.TEST)
    program, client = good.build_program(), part2.connect(args)
    more = part2.more_chats(part2.HERE / "data" / "train.jsonl", train, test)
    good.write_conversations(program, [*train, *more])
    job = part2.tuned_job(client, args.model, 10, good.CONVERSATIONS)
    good.answers(program, args.model, test)
    good.answers(program, job.fine_tuned_model, test[:6])


part2.main(run)
