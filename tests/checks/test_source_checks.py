"""Source checks: what a script does decides, not which words stand in it."""

from __future__ import annotations

import ast
import contextlib
import shutil
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.examples.source import GOOD, INFERENCE
from support.notebooks import notebook
from support.paths import ROOT

from grader.assignment.load import load_assignment
from grader.checks import measuring, source, training
from grader.checks.api.context import Context
from grader.checks.api.registry import all_checks
from grader.checks.views.control_flow import read_program
from grader.checks.views.syntax import SourceFault, parse
from grader.core.constants import SOURCE_MAX_BYTES
from grader.core.nouns import Finding, Outcome
from grader.intake.find import FoundSubmission
from grader.intake.submission import take_in

MODULES = {module.__name__ for module in (source, training, measuring)}
CODES = [code for code, c in all_checks().items() if c.function.__module__ in MODULES]
PASS, FAIL, REVIEW = Outcome.PASS, Outcome.FAIL, Outcome.REVIEW

OWN_LOOP = """
import time, torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM
model = get_peft_model(AutoModelForCausalLM.from_pretrained("m"),
                       LoraConfig(r=4, lora_alpha=8, target_modules="all-linear"))
best, bad = 9e9, 0

def loss_on(batches):
    total = 0.0
    with torch.no_grad():
        for batch in batches:
            total += model(**batch).loss.item()
    return total

start = loss_on(test)
for epoch in range(20):
    for batch in batches:
        model(**batch).loss.backward()
        optimizer.step()
    loss = loss_on(validation)
    model.save_pretrained(f"checkpoints/{epoch}")
    bad = 0 if loss < best else bad + 1
    best = min(best, loss)
    if bad >= 2:
        break
print(start, loss_on(test))
"""


def judged(
    code: str, tmp_path: Path, script: str | bytes = GOOD, answering: str = INFERENCE, **more: str
) -> Finding:
    folder = tmp_path / "s01"
    folder.mkdir(exist_ok=True)
    contents = script if isinstance(script, bytes) else script.encode()
    (folder / "huggingface_custom_lora.py").write_bytes(contents)
    (folder / "inference.py").write_text(answering)
    for name, text in more.items():
        (folder / f"{name}.py").write_text(text)
    return judged_folder(code, folder, tmp_path)


def judged_folder(code: str, folder: Path, tmp_path: Path) -> Finding:
    assignment = load_assignment("llm-methods")
    found = FoundSubmission("s01", folder)
    submission = take_in(found, tmp_path / "work", assignment.deliverables)
    return all_checks()[code].judge(Context(assignment, submission, {}))


def changed(script: str, *edits: tuple[str, str]) -> str:
    for old, new in edits:
        assert old in script, f"the script has no {old!r}"
        script = script.replace(old, new)
    return script


CONFIG = 'LoraConfig(r=8, lora_alpha=16, target_modules=["q_proj"])'
ARGUMENTS = 'TrainingArguments("out", save_strategy="epoch", eval_strategy="epoch")'
BEFORE = "    before = evaluate(model, tokenizer, questions)\n"
AFTER = "    after = evaluate(model, tokenizer, questions)\n"
TRAIN = "    trainer.train()\n"
SAVE = '    model.save_pretrained("adapter")\n'
MEMORY = "resource.getrusage(resource.RUSAGE_SELF).ru_maxrss"
CALLBACKS = ", callbacks=[stop]"
STOP = "EarlyStoppingCallback(2)"
RUN = 'if __name__ == "__main__":\n    main()\n'
ELAPSED = "time.perf_counter() - started"


def good(*edits: tuple[str, str]) -> str:
    return changed(GOOD, *edits)


def loop(*edits: tuple[str, str]) -> str:
    return changed(OWN_LOOP, *edits)


# code, what it shows, the script, what must come out
CASES: list[tuple[str, str, str, Outcome]] = [
    *((code, "a good script", GOOD, PASS) for code in CODES if code not in ("SRC009", "SRC011")),
    ("SRC002", "a stub left", good((SAVE, '    raise NotImplementedError("save it")\n')), FAIL),
    ("SRC002", "a stub without text", good((SAVE, "    raise NotImplementedError\n")), FAIL),
    ("SRC002", "an abstract method", "class A:\n  def f(self): raise NotImplementedError\n", PASS),
    ("SRC002", "the words in a comment", good((SAVE, SAVE + "    # raise NotImplementedError\n")),
     PASS),
    # SRC003: hyperparameters
    ("SRC003", "an alias", good(("import LoraConfig,", "import LoraConfig as L,"),
                                (CONFIG, CONFIG.replace("LoraConfig", "L"))), PASS),
    ("SRC003", "the module's name", good((CONFIG, f"peft.{CONFIG}"),
                                         ("import json", "import json, peft")), PASS),
    ("SRC003", "two stars", good((CONFIG, "LoraConfig(**choices)"), ("import json", "import json\n"
     "choices = {'r': 8, 'lora_alpha': 16, 'target_modules': 'all-linear'}")), PASS),
    ("SRC003", "read from a file", good((CONFIG, "LoraConfig(**json.load(open('c')))")), REVIEW),
    ("SRC003", "no target modules", good((', target_modules=["q_proj"]', "")), FAIL),
    ("SRC003", "rank None", good(("r=8", "r=None")), FAIL),
    ("SRC003", "only in a comment", good((CONFIG, "None  # " + CONFIG)), FAIL),
    ("SRC003", "only in a text", good((CONFIG, f"'''{CONFIG}'''")), FAIL),
    ("SRC003", "a class of that name", good(("import LoraConfig,", "import"),
     ("def main", "class LoraConfig(dict): pass\n\ndef main")), FAIL),
    ("SRC003", "made but not used", good(
        ("model = get_peft_model(model, config)", "model = get_peft_model(model, None)")), FAIL),
    ("SRC003", "under if False", good(("config = L", "if False: config = L")), FAIL),
    ("SRC003", "main never called", good((RUN, "")), FAIL),
    ("SRC003", "set afterwards", good(("r=8, ", ""), ("    model = get_peft",
     "    config.r = 8\n    model = get_peft")), PASS),
    # SRC004: checkpoints and early stopping
    ("SRC004", "no save strategy", good(('save_strategy="epoch", ', "")), FAIL),
    ("SRC004", "save strategy no", good(('save_strategy="epoch"', 'save_strategy="no"')), FAIL),
    ("SRC004", "save steps", good(('save_strategy="epoch"', "save_steps=20")), PASS),
    ("SRC004", "no evaluation", good((', eval_strategy="epoch"', "")), FAIL),
    ("SRC004", "stop never handed over", good((CALLBACKS, "")), FAIL),
    ("SRC004", "stop imported only", good((f"    stop = {STOP}\n", ""), (CALLBACKS, "")), FAIL),
    ("SRC004", "stop added later", good((CALLBACKS, ""),
     (TRAIN, "    trainer.add_callback(stop)\n" + TRAIN)), PASS),
    ("SRC004", "a callback of one's own", good((STOP, "Patience()"), ("def main", (
        "class Patience(TrainerCallback):\n    def on_evaluate(self, a, state, control, **k):\n"
        "        if state.global_step > 9:\n            control.should_training_stop = True\n\n"
        "def main"))), PASS),
    ("SRC004", "never trained", good((TRAIN, "")), FAIL),
    ("SRC004", "trained after return", good((TRAIN, "    return\n" + TRAIN)), FAIL),
    ("SRC004", "settings from a file", good((ARGUMENTS, "TrainingArguments(**read())")), REVIEW),
    ("SRC004", "a loop of one's own", OWN_LOOP, PASS),
    ("SRC004", "a loop without break", loop(("        break\n", "        pass\n")), FAIL),
    ("SRC004", "a loop that saves after it", loop(
        ('    model.save_pretrained(f"checkpoints/{epoch}")\n', ""),
        ("print(start", 'model.save_pretrained("a")\nprint(start')), FAIL),
    ("SRC004", "a loop that always breaks", loop(("    if bad >= 2:\n        break", "    break")),
     FAIL),
    # SRC005: before and after
    ("SRC005", "a loop of one's own", OWN_LOOP, PASS),
    ("SRC005", "only after", good((BEFORE, "    before = 0\n")), FAIL),
    ("SRC005", "only before", good((AFTER, "    after = 1\n")), FAIL),
    ("SRC005", "before under if False", good((BEFORE, "    if False:\n    " + BEFORE)), FAIL),
    ("SRC005", "before in a comment", good((BEFORE, "    before = 0  # evaluate(model)\n")), FAIL),
    ("SRC005", "evaluates nothing", good(("model.generate(**t", "print(**t")), FAIL),
    ("SRC005", "both before", good((AFTER, ""), (BEFORE, BEFORE + AFTER)), FAIL),
    ("SRC005", "the adapter switched off", good((BEFORE, ""), (AFTER, AFTER
     + "    with model.disable_adapter():\n    " + BEFORE)), PASS),
    ("SRC005", "the trainer's own", good((BEFORE, ""), (AFTER, "    trainer.evaluate()\n"),
     (TRAIN, "    trainer.evaluate()\n" + TRAIN)), PASS),
    ("SRC005", "a trainer made elsewhere", good(
        ("trainer = Trainer(model", "trainer = made(model"),
        ("def main", "def made(*a, **k):\n    return Trainer(*a, **k)\n\ndef main")), PASS),
    ("SRC005", "a fake trainer", good(("import EarlyStoppingCallback, Trainer,", (
        "import EarlyStoppingCallback,")), ("def main", "class Trainer:\n    def __init__(self, *a"
     ", **k): pass\n    def train(self): pass\n\ndef main")), FAIL),
    ("SRC005", "model.train() is no training", good(("trainer.train()", "model.train()")), FAIL),
    # SRC006: speed and memory
    ("SRC006", "no memory", good((MEMORY, "0")), FAIL),
    ("SRC006", "memory thrown away", good((f"memory = {MEMORY}", "resource.getrusage(0)"),
                                          (", memory)", ")")), FAIL),
    ("SRC006", "memory in a comment", good((MEMORY, "0  # " + MEMORY)), FAIL),
    ("SRC006", "memory by psutil", good((MEMORY, "psutil.Process().memory_info().rss"),
                                        ("import json", "import json, psutil")), PASS),
    ("SRC006", "memory on a GPU", good((MEMORY, "torch.cuda.max_memory_allocated()"),
                                       ("import json", "import json, torch")), PASS),
    ("SRC006", "no clock", good((ELAPSED, "1.0")), FAIL),
    ("SRC006", "a clock of one's own", good(("import time\n", "class time:\n    "
     "perf_counter = staticmethod(lambda: 0)\n")), FAIL),
    ("SRC006", "only the training timed", good(
        (ELAPSED, "1"), ("    started = time.perf_counter()\n", ""),
        (TRAIN, "    t = time.time()\n" + TRAIN + "    t = time.time() - t\n")), FAIL),
    ("SRC006", "timed around the call", good(
        (ELAPSED, "1"), ("    started = time.perf_counter()\n", ""),
        (AFTER, "    t = time.time()\n" + AFTER + "    t = time.time() - t\n")), PASS),
    ("SRC006", "the trainer's rate", good((ELAPSED, "1"), (AFTER, AFTER
     + "    print(trainer.evaluate()['eval_samples_per_second'])\n")), PASS),
    # SRC007: saving
    ("SRC007", "never saved", good((SAVE, "")), FAIL),
    ("SRC007", "only the tokenizer", good((SAVE, "    tokenizer.save_pretrained('adapter')\n")),
     FAIL),
    ("SRC007", "saved before training", good((SAVE, ""), (TRAIN, SAVE + TRAIN)), FAIL),
    ("SRC007", "merged", good((SAVE, "    model.merge_and_unload().save_pretrained('a')\n")), FAIL),
    ("SRC007", "a pickle", good((SAVE, "    torch.save(model.state_dict(), 'a')\n"),
                                ("import json", "import json, torch")), FAIL),
    ("SRC007", "by the trainer", good((SAVE, "    trainer.save_model('adapter')\n")), PASS),
    ("SRC007", "in a text", good((SAVE, f"    print({SAVE.strip()!r})\n")), FAIL),
    ("SRC007", "in a function nobody calls", good((SAVE, ""), ("def main", (
        "def save(model):\n" + SAVE + "\ndef main"))), FAIL),
]  # fmt: skip


@pytest.mark.parametrize(
    ("code", "script", "expected"),
    [pytest.param(code, script, out, id=f"{code} {what}") for code, what, script, out in CASES],
)
def test_what_the_script_does_decides(
    code: str, script: str, expected: Outcome, tmp_path: Path
) -> None:
    ast.parse(script)
    finding = judged(code, tmp_path, script)
    assert finding.outcome is expected, finding.message
    assert finding.hint or expected is not FAIL


LOAD = 'AutoModelForCausalLM.from_pretrained("course-model")'


@pytest.mark.parametrize(
    ("edit", "expected"),
    [
        (("import sys", "import sys, datasets"), FAIL),
        (("import sys", "import sys\nif False:\n    import datasets"), PASS),
        (("import sys", "import sys\ndef unused():\n    import datasets"), PASS),
        (("import sys", "import sys\n# import datasets"), PASS),
        (("import AutoModel", "import Trainer, AutoModel"), FAIL),
        (("import sys", "import sys\nfrom trl import SFTTrainer"), FAIL),
        (("import sys", "import sys, huggingface_custom_lora"), FAIL),
        (("import sys", "import sys, importlib\nimportlib.import_module('datasets')"), FAIL),
        ((f'PeftModel.from_pretrained({LOAD}, "adapter")', LOAD), FAIL),
        ((LOAD, "None"), FAIL),
        (("model.generate", "print"), FAIL),
    ],
)
def test_inference_loads_only_what_it_needs(
    edit: tuple[str, str], expected: Outcome, tmp_path: Path
) -> None:
    assert judged("SRC008", tmp_path, answering=changed(INFERENCE, edit)).outcome is expected


def test_what_a_module_beside_the_script_does_counts(tmp_path: Path) -> None:
    head, main = GOOD.split("def main")
    script = "from measuring import evaluate, time\n" + head.split("def evaluate")[0] + "def main"
    helper = "import time\ndef evaluate" + head.split("def evaluate")[1]
    for code in ("SRC005", "SRC006"):
        assert judged(code, tmp_path, script + main, measuring=helper).outcome is PASS
    for line in ("from bringing import Dataset\n", "import bringing\n"):
        found = judged("SRC008", tmp_path, answering=line + INFERENCE, bringing="import datasets")
        assert found.outcome is FAIL


def test_what_a_notebook_beside_the_script_does_counts(tmp_path: Path) -> None:
    head, main = GOOD.split("def main")
    script = "from dspy_enhanced import evaluate, time\n" + head.split("def evaluate")[0]
    helper = "import time\ndef evaluate" + head.split("def evaluate")[1]
    (tmp_path / "s01").mkdir()
    (tmp_path / "s01" / "dspy_enhanced.ipynb").write_bytes(notebook(helper))
    for code in ("SRC005", "SRC006"):
        assert judged(code, tmp_path, f"{script}def main{main}").outcome is PASS


@pytest.mark.parametrize("code", CODES)
def test_the_solution_passes(code: str, tmp_path: Path) -> None:
    folder = ROOT / "solutions" / "llm-methods"
    shutil.copytree(folder, tmp_path / "s01", ignore=shutil.ignore_patterns("__pycache__"))
    finding = judged_folder(code, tmp_path / "s01", tmp_path)
    assert finding.outcome is PASS, finding.message


def test_the_untouched_starter_fails_kindly(tmp_path: Path) -> None:
    folder = ROOT / "starter" / "llm-methods"
    shutil.copytree(folder, tmp_path / "s01", ignore=shutil.ignore_patterns("__pycache__"))
    findings = {code: judged_folder(code, tmp_path / "s01", tmp_path) for code in CODES}
    assert findings["SRC001"].outcome is PASS
    stubs = findings["SRC002"]
    assert stubs.outcome is FAIL
    assert stubs.location.line is not None
    assert "raise SystemExit" in stubs.hint
    assert findings["SRC011"].measures["new_statements"] == 0


@pytest.mark.parametrize(
    ("script", "said"),
    [
        (b"def f(:\n", "line 1"),
        (b"x = 1\n\0y = 2\n", "line 2"),
        (b"# -*- coding: klingon -*-\nx = 1\n", "encoding"),
        (b"# -*- coding: rot13 -*-\nk = 1\n", "encoding"),
        (b"x = '\xff'\n", "not valid Python"),
        (b"(" * 5000 + b")" * 5000, "not valid Python"),
        (b"-" * 200_000 + b"1", "nested"),
        (b"x = " + b"f(" * 180 + b")" * 180, "levels inside each other"),
        (b"x = 1" + b" + 1" * 5000, "nested|levels"),
        (b"a" + b".a" * 20_000, "nested|levels"),
    ],
)
def test_what_python_cannot_read_is_the_students_to_mend(
    script: bytes, said: str, tmp_path: Path
) -> None:
    finding = judged("SRC001", tmp_path, script)
    assert finding.outcome is FAIL
    assert any(part in finding.message for part in said.split("|")), finding.message
    assert str(tmp_path) not in finding.message
    assert finding.location.line is None or finding.location.line > 0


def test_a_script_that_is_too_large_is_refused(tmp_path: Path) -> None:
    finding = judged("SRC001", tmp_path, b"#" * (SOURCE_MAX_BYTES + 1))
    assert finding.outcome is FAIL


def test_a_script_that_cannot_be_followed_is_for_a_person(tmp_path: Path) -> None:
    maze = "".join(f"def f{i}():\n    f{i + 1}()\n    f{i + 1}()\n" for i in range(40))
    finding = judged("SRC003", tmp_path, maze + "def f40(): pass\nf0()\n")
    assert finding.outcome is REVIEW


def test_functions_that_call_each_other_end(tmp_path: Path) -> None:
    script = GOOD.replace("    right = 0\n", "    right = 0\n    main()\n")
    assert judged("SRC007", tmp_path, script).outcome is PASS


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300) | st.text(max_size=300).map(lambda text: text.encode()))
def test_any_bytes_are_a_tree_or_a_fault(data: bytes) -> None:
    with contextlib.suppress(SourceFault):
        assert read_program(data).tree is not None


def test_an_odd_escape_is_not_our_warning() -> None:
    assert parse(b'x = "\\d"\n')


# --- documentation -----------------------------------------------------------------------------

COMMENTED = GOOD.replace(
    "    right = 0\n", "    right = 0  # one point a question, no half\n"
).replace("    main()\n", "    main()  # not when another script imports it\n")


def test_documentation_is_measured(tmp_path: Path) -> None:
    finding = judged("SRC009", tmp_path, COMMENTED)
    assert finding.outcome is PASS, finding.message
    assert finding.measures["docstring_share"] == 1.0
    assert finding.measures["comment_share"] > 0


@pytest.mark.parametrize(
    "edit",
    [
        ('    """Return the share of questions answered right."""\n', ""),
        ('"""Do all of it, in order."""', '"""x"""'),
        ("  # one point a question, no half", "  # right = 0"),
        ("  # one point a question, no half", "  # not when another script imports it"),
    ],
)
def test_what_documents_nothing_does_not_count(edit: tuple[str, str], tmp_path: Path) -> None:
    better = judged("SRC009", tmp_path, COMMENTED).measures
    worse = judged("SRC009", tmp_path, changed(COMMENTED, edit)).measures
    assert min(worse[name] / better[name] for name in worse) < 1


# --- secrets -----------------------------------------------------------------------------------

KEY = "sk-" + "aB3dE5gH7jK9mN1pQ3sT5vW7"
TOKEN = "hf_" + "aBcDeFgHiJkLmNoPqRsTuVwXyZ0123456789"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f'key = "{KEY}"', FAIL),
        (f"# {TOKEN}", FAIL),
        ('key = "sk-your-key-here-1234567890abcdefgh"', PASS),
        ('key = os.environ["OPENAI_API_KEY"]', PASS),
        ('key = "sk-xxxxxxxxxxxxxxxxxxxxxxxxxxx1"', PASS),
        ("task-aB3dE5gH7jK9mN1pQ3sT5vW7 = 1", PASS),
    ],
)
def test_a_key_is_found_and_never_repeated(text: str, expected: Outcome, tmp_path: Path) -> None:
    finding = judged("SRC010", tmp_path, GOOD + "\n" + text + "\n")
    assert finding.outcome is expected
    said = f"{finding.message} {finding.hint} {finding.note}"
    assert KEY[3:] not in said
    assert TOKEN[3:] not in said
    if expected is FAIL:
        assert finding.location.line == GOOD.count("\n") + 2


# --- beyond the example ------------------------------------------------------------------------

EXAMPLE = (ROOT / "starter" / "llm-methods" / "huggingface_lora.py").read_text()


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        (EXAMPLE, FAIL),
        (EXAMPLE.replace("train_set", "mine").replace("ask", "reply").replace("r=4", "r=16"), FAIL),
        (EXAMPLE + "x = 1\n" * 50, FAIL),
        (EXAMPLE + "".join(f"print({i})\n" for i in range(50)), FAIL),
        (EXAMPLE + "if False:\n" + "".join(f"    a.b{i}()\n" for i in range(50)), FAIL),
        (EXAMPLE + "def unused():\n" + "".join(f"    a.b{i}()\n" for i in range(50)), FAIL),
        (EXAMPLE + "".join(f"a.b{i}()\n" for i in range(8)), REVIEW),
        (GOOD, PASS),
    ],
)
def test_only_new_statements_that_run_are_an_addition(
    script: str, expected: Outcome, tmp_path: Path
) -> None:
    finding = judged("SRC011", tmp_path, script)
    assert finding.outcome is expected, finding.message
    assert finding.measures["new_statements"] is not None
