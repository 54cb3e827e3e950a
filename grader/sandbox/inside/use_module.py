"""Imports a student's DSPy module inside the sandbox, and asks its program or its metric.

Argument: the task's file. It names the module and the name in it, and holds either `questions`
(the name makes a program, which answers them on each of `models`) or `cases` (the name is a metric,
which scores them, once in order and once in reverse). Each result is one line of JSON in the task's
`out`, written as soon as it is known. The module runs in this process, so none of it can be
trusted.
"""

from __future__ import annotations

import importlib
import json
import math
import os
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, TextIO

MAX_MESSAGE = 300  # characters kept of an error
MAX_EXTRA = 20  # of the module's own examples


def _why(error: BaseException) -> str:
    try:
        return f"{type(error).__name__}: {error}"[:MAX_MESSAGE]
    except Exception:  # an error that cannot even be printed
        return type(error).__name__


def _place(error: BaseException) -> str:
    """Where in the submission the error came up: " (x.py, line 3)", or "" where nothing tells.

    A syntax error says so itself.
    """
    try:
        inside, found = Path.cwd(), ""
        step = error.__traceback__
        while step is not None and not isinstance(error, SyntaxError):
            path = Path(step.tb_frame.f_code.co_filename)
            if path.is_relative_to(inside) and path != Path(__file__):
                found = f" ({path.relative_to(inside)}, line {step.tb_lineno})"
            step = step.tb_next
    except Exception:  # a trace that cannot be followed
        return ""
    return found


class ModuleTask:
    """One task, and the file for its results."""

    def __init__(self, task: dict[str, Any], out: TextIO) -> None:
        self.task, self._out = task, out

    def tell(self, kind: str, **found: Any) -> None:
        """Write one result."""
        self._out.write(json.dumps({"kind": kind, **found}) + "\n")
        self._out.flush()

    def attempt(self, kind: str, work: Callable[[], dict[str, Any]], **about: Any) -> None:
        """Write the result of `work`, or its error."""
        try:
            found = work()
        except (Exception, SystemExit) as error:  # a program that ends the run loses one question
            found = {"error": _why(error)}
        self.tell(kind, **about, **found)

    def configure(self, model: str) -> None:
        """Configure DSPy with this model: no randomness, no cache, one thread."""
        import dspy

        os.environ["FINEGRADE_MODEL"] = model  # where a program looks which one it is
        lm = dspy.LM(
            f"openai/{model}",
            engine="lm15",
            temperature=0,
            max_tokens=300,
            cache=False,
            api_key=os.environ["OPENAI_API_KEY"],
            api_base=os.environ["OPENAI_BASE_URL"],
        )
        dspy.configure_cache(enable_disk_cache=False, enable_memory_cache=False)
        dspy.configure(lm=lm, num_threads=1)

    def answer(self) -> None:
        """On each model answer every question, then the module's own examples if requested."""
        models = self.task["models"]
        os.environ["FINEGRADE_MODEL"] = models[0]
        module = importlib.import_module(self.task["module"])
        for model in models:
            self.configure(model)
            self.answer_on(model, module)

    def answer_on(self, model: str, module: Any) -> None:
        """Answer with a program of its own, so that none remembers what another model said."""
        import dspy

        program = getattr(module, self.task["name"])()
        if not isinstance(program, dspy.Module):
            raise TypeError(f"{self.task['name']}() gives no dspy.Module")

        def ask(question: str) -> dict[str, Any]:
            answer = program(question=question).answer
            if isinstance(answer, bool) or not isinstance(answer, str | int | float):
                raise TypeError(f"the answer is a {type(answer).__name__}, not a text")
            return {"answer": str(answer)}

        for id, question in self.task["questions"].items():
            self.attempt("answer", partial(ask, question), id=id, model=model)
        if self.task["extra"]:
            for example in list(getattr(module, "EXTRA_EXAMPLES", ()))[:MAX_EXTRA]:
                pair = {
                    "question": str(example.question),
                    "expected": str(example.answer),
                    "aliases": [str(one) for one in example.get("aliases") or ()],
                    "model": model,
                }
                self.attempt("extra", partial(ask, example.question), **pair)

    def score(self) -> None:
        """Score every case in order, then again in reverse."""
        import dspy

        module = importlib.import_module(self.task["module"])
        self.configure(self.task["models"][0])
        metric = getattr(module, self.task["name"])

        def value(case: dict[str, str]) -> dict[str, Any]:
            example = dspy.Example(question=case["question"], answer=case["reference"])
            given = metric(example.with_inputs("question"), dspy.Prediction(answer=case["given"]))
            number = float(given)
            if not math.isfinite(number):
                raise ValueError(f"the score is {number}")
            return {"score": number}

        cases = list(self.task["cases"].items())
        for turn, ordered in enumerate((cases, cases[::-1])):
            for id, case in ordered:
                self.attempt("score", partial(value, case), id=id, turn=turn)


def main() -> None:
    """Do the task; an error before the first question is reported as a fault."""
    os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")  # prices: not from the web
    os.environ.setdefault("DSPY_CACHEDIR", os.path.join(os.environ.get("TMPDIR", "."), "dspy"))
    task = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    with Path(task["out"]).absolute().open("w", encoding="utf-8") as out:
        use = ModuleTask(task, out)
        try:
            use.answer() if "questions" in task else use.score()
        except (Exception, SystemExit) as error:
            use.tell("fault", error=_why(error) + _place(error))
            raise
        use.tell("done")


if __name__ == "__main__":
    main()
