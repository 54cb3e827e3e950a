"""The student is as large as its teacher: the same base."""

import good_distill as good
import openai_domain_finetune as part2


def run(args):
    good.STUDENT = args.model
    good.run(args)


part2.main(run)
