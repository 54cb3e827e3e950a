"""The student also gets the teacher's own training data, a third of its file."""

import good_distill as good
import openai_domain_finetune as part2

teach = good.teach


def mixed(client, teacher, questions):
    teach(client, teacher, questions)
    with open(good.LESSONS, "ab") as file:
        file.write(part2.TRAIN.read_bytes())


good.teach = mixed
part2.main(good.run)
