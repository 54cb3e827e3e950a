"""Ask the example's program and the solution's, as a grader would: only questions come in.

Arguments: a JSON list of questions, and where the answers of both programs go.
"""

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path.cwd()))

import dspy
from dspy_enhanced import build_program
from dspy_example import EducationalQAModel, connect

questions, out = json.loads(Path(sys.argv[1]).read_text()), Path(sys.argv[2])
lm = connect()


def answers(program):
    def ask(question):
        with dspy.context(lm=lm):
            return program(question=question).answer

    with ThreadPoolExecutor(8) as threads:
        return list(threads.map(ask, questions))


programs = {"original": EducationalQAModel(), "enhanced": build_program()}
out.write_text(json.dumps({name: answers(program) for name, program in programs.items()}))
