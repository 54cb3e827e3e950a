"""What the Part 3 scripts are as source code (SRC001, SRC002, SRC009 to SRC011)."""

from __future__ import annotations

import ast
import builtins
import io
import re
import tokenize
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

from grader.assignment.given import given_files, kit_lines, own_lines
from grader.checks.api.context import Context, Verdict, failed, needs_review, passed
from grader.checks.api.registry import check
from grader.checks.views.scripts import (
    INFERENCE_SCRIPT,
    LORA_SCRIPT,
    Script,
    not_found,
    not_submitted,
    read_script,
)
from grader.checks.views.syntax import SourceFault, own_nodes, parse
from grader.core.constants import (
    COMMENT_SHARE_AT_LEAST,
    DOCSTRING_SHARE_AT_LEAST,
    DOCUMENTED_LINES_AT_LEAST,
    NEW_STATEMENTS_AT_LEAST,
    NEW_STATEMENTS_REVIEW_FROM,
    SOURCE_MAX_BYTES,
    STILL_TO_WRITE,
)
from grader.core.errors import FileRefused
from grader.core.text import counted
from grader.intake.submitted_notebook import is_notebook, is_script


@check(
    "SRC001",
    deliverables=(
        LORA_SCRIPT,
        INFERENCE_SCRIPT,
    ),
    needs=("LAY030",),
)
def the_scripts_are_valid_python(context: Context) -> Verdict:
    """The Part 3 scripts are valid Python

    Why: A script that Python cannot read does nothing.

    Fix: Run `python -m py_compile huggingface_custom_lora.py inference.py` and mend the line that
    it names.
    """
    read = []
    for role in (LORA_SCRIPT, INFERENCE_SCRIPT):
        name = context.deliverable(role).paths[0]
        try:
            script = read_script(context, role)
        except SourceFault as fault:
            path = context.place(role) or name
            name = path.rpartition("/")[2]
            where = f"line {fault.line}: " if fault.line else ""
            return failed(
                f"{name} is not valid Python: {where}{fault.message}.",
                "Restart the notebook's kernel and run all cells until none fails."
                if is_notebook(name)
                else f"Mend it until `python -m py_compile {name}` says nothing.",
                path=path,
                line=fault.line,
            )
        except FileRefused as refused:
            return failed(refused.message, refused.hint, path=refused.path)
        if script is not None:
            read.append(script.path.rpartition("/")[2])
    if not read:
        return not_submitted(context, LORA_SCRIPT)
    return passed(f"Python can read {' and '.join(read)}.")


@check(
    "SRC002",
    deliverables=(
        LORA_SCRIPT,
        INFERENCE_SCRIPT,
    ),
    needs=("LAY030", "SRC001"),
)
def no_stub_is_left(context: Context) -> Verdict:
    """Nothing of the kit's stubs is left

    Why: The starter kit marks what you write with `raise SystemExit("..., still to write: ...")`.
    Where one is left, the script stops.

    Fix: Replace each of these lines by your own code.
    """
    for script in _part_3(context):
        stubs = sorted(_stubs(script.program.tree), key=lambda stub: stub.lineno)
        if stubs:
            places = "; ".join(script.at(stub.lineno) for stub in stubs[:8])
            return failed(
                f"{script.path} still stops where the kit left work for you: {places}.",
                "Replace each `raise SystemExit(...)` there by the code that its text asks for.",
                path=script.path,
                line=script.line(stubs[0].lineno),
            )
    return passed("No stub of the kit is left.")


def _stubs(tree: ast.Module) -> Iterator[ast.Raise]:
    """Every stub; `raise NotImplementedError` is none in a class, which may be abstract."""
    waiting: list[tuple[ast.AST, bool]] = [(tree, False)]
    while waiting:
        node, in_class = waiting.pop()
        if isinstance(node, ast.Raise) and _is_stub(node, in_class):
            yield node
        in_class = in_class or isinstance(node, ast.ClassDef)
        waiting += [(child, in_class) for child in ast.iter_child_nodes(node)]


def _is_stub(node: ast.Raise, in_class: bool) -> bool:
    call = node.exc if isinstance(node.exc, ast.Call) else None
    raised = call.func if call is not None else node.exc
    if not isinstance(raised, ast.Name):
        return False
    if raised.id == "NotImplementedError":
        return not in_class
    texts = call.args if call is not None and raised.id == "SystemExit" else []
    return any(isinstance(t, ast.Constant) and STILL_TO_WRITE in str(t.value) for t in texts)


@check("SRC009", needs=("LAY001",), measures=("docstring_share", "comment_share"))
def the_code_is_documented(context: Context) -> Verdict:
    """The code is documented

    Why: Code is read more often than it is written, most often by someone who was not there. Only
    your own lines count, and not those that stand in the kit.

    Fix: Begin the module and every public function of yours with a docstring that says what it
    does, and explain with comments what the code cannot say: why it is done this way.
    """
    try:
        scripts = _all_scripts(context)
    except (SourceFault, FileRefused) as fault:
        return failed(
            f"A script cannot be read: {fault}",
            "Mend the script so that Python can read it; then its documentation is looked at.",
        )
    if not scripts:
        return not_submitted(context, LORA_SCRIPT)
    kit = context.assignment.id
    own = [own_lines(kit, script.source.decode("utf-8", "replace")) for script in scripts]
    both = list(zip(scripts, own, strict=True))
    lines = sum(len(_code_lines(script) & mine) for script, mine in both)
    if lines < DOCUMENTED_LINES_AT_LEAST:
        return failed(
            f"{counted(lines, 'line')} of the scripts' code are your own; documentation is looked "
            f"at from {DOCUMENTED_LINES_AT_LEAST} on. What the kit documents is not counted.",
            "Write what the kit's programs leave to you, and document that.",
            measures={"docstring_share": 0.0, "comment_share": 0.0},
        )
    documented = [one for script, mine in both for one in _documented(script, mine)]
    comments = len({text for script, mine in both for text in _comments(script, mine, kit)})
    docstring_share = sum(has for _, has in documented) / max(1, len(documented))
    if not documented:  # all that could have a docstring is the kit's, with the kit's
        docstring_share = 1.0
    comment_share = comments / lines
    measures = {
        "docstring_share": round(docstring_share, 4),
        "comment_share": round(comment_share, 4),
    }
    if docstring_share < DOCSTRING_SHARE_AT_LEAST:
        without = ", ".join(name for name, has in documented if not has)[:200]
        return failed(
            f"{docstring_share:.0%} of your modules and public functions have a docstring; at "
            f"least {DOCSTRING_SHARE_AT_LEAST:.0%} should. Without one: {without}.",
            "Begin each module and public function with a sentence in triple quotes that says "
            "what it does.",
            measures=measures,
        )
    if comment_share < COMMENT_SHARE_AT_LEAST:
        return failed(
            f"There are {comments} different comments on {lines} lines of your own code; at least "
            f"{COMMENT_SHARE_AT_LEAST:.0%} is asked for. Commented-out code does not count.",
            "Say with a comment why the code does what is not plain from reading it.",
            measures=measures,
        )
    return passed(
        f"{docstring_share:.0%} of your modules and public functions have a docstring, and there "
        f"are {comments} comments on {lines} lines of your own code.",
        measures=measures,
    )


def _documented(script: Script, own: frozenset[int]) -> Iterator[tuple[str, bool]]:
    """The module and each public function or class of the student's own, and whether a docstring of
    words begins it.

    One that begins as in the kit is none: the kit documents it. A notebook may begin with
    a cell of Markdown instead.
    """
    tree, words = script.program.tree, script.notebook.words if script.notebook else ()
    first = tree.body[0] if tree.body else None
    if first is None or first.lineno in own or not _says_something(tree):
        yield "the module", any(map(_has_words, words[:1])) or _says_something(tree)
    for node in _public(tree):
        if node.lineno in own or node.body[0].lineno in own:
            yield node.name, _says_something(node)


def _public(tree: ast.Module) -> Iterator[ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef]:
    """Public functions and classes; those inside of a function are its own business."""
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            if not node.name.startswith("_"):
                yield node
            if not isinstance(node, ast.ClassDef):
                continue
        waiting += ast.iter_child_nodes(node)


def _says_something(
    node: ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef,
) -> bool:
    return _has_words(ast.get_docstring(node) or "")


def _has_words(text: str, least: int = 3) -> bool:
    return len(re.findall(r"[^\W\d_]{2,}", text)) >= least


def _comments(script: Script, own: frozenset[int], kit: str) -> Iterator[str]:
    """Comments of two words and more, on lines of the student's own, that are no code which was
    commented out.

    Each line of a notebook's Markdown is one.
    """
    tokens = tokenize.tokenize(io.BytesIO(script.source).readline)
    comments = [t.string for t in tokens if t.type == tokenize.COMMENT and t.start[0] in own]
    if script.notebook is not None:
        text = "\n".join(script.notebook.words)[:SOURCE_MAX_BYTES]
        known = kit_lines(kit)
        comments += [line for line in text.split("\n") if line.strip() not in known]
    for comment in comments:
        text = comment.strip("# \t")
        if _has_words(text, 2) and not _is_code(text):
            yield text


def _is_code(text: str) -> bool:
    try:
        parse(text.encode())
    except SourceFault:
        return False
    return True


def _code_lines(script: Script) -> set[int]:
    docstrings = {
        part
        for node in ast.walk(script.program.tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and ast.get_docstring(node) is not None
        for part in ast.walk(node.body[0])
    }
    return {
        node.lineno
        for node in ast.walk(script.program.tree)
        if isinstance(node, ast.stmt | ast.expr) and node not in docstrings
    }


@check(
    "SRC011",
    deliverables=(LORA_SCRIPT,),
    needs=("LAY030", "SRC001"),
    measures=("new_statements", "similarity"),
)
def it_goes_beyond_the_example(context: Context) -> Verdict:
    """The training script goes beyond the kit's example

    Why: The example works already; the assignment asks what you add to it. Other names, numbers
    and texts are not an addition.

    Fix: Write the parts that the example lacks: the evaluation, checkpoints and early stopping, the
    measurements, or an idea of your own.
    """
    script = read_script(context, LORA_SCRIPT)
    if script is None:
        return not_submitted(context, LORA_SCRIPT)
    known: set[str] = set()
    given = given_files(context.assignment.id, "*.py")
    for path in (path for path in given if path.name in _BEGUN_FROM):
        known |= _of_kit(path)
    mine = set(_shapes(script.program.statements))
    new = mine - known
    similarity = len(mine & known) / len(mine) if mine else 1.0
    measures = {"new_statements": len(new), "similarity": round(similarity, 4)}
    text = (
        f"{len(new)} statements that run stand in no script of the kit's Part 3, names and numbers "
        f"aside; {similarity:.0%} of the script does."
    )
    if len(new) >= NEW_STATEMENTS_AT_LEAST:
        return passed(text, measures=measures)
    if len(new) >= NEW_STATEMENTS_REVIEW_FROM:
        return replace(needs_review(f"{text} A person looks at what they add."), measures=measures)
    verdict = not_found(script, text, "Add to the training script what the kit's example lacks.")
    return failed(verdict.message, verdict.hint, path=script.path, measures=measures)


_BEGUN_FROM: Final = ("common.py", "huggingface_lora.py", "huggingface_custom_lora.py")


def _of_kit(path: Path) -> frozenset[str]:
    tree = parse(path.read_bytes())
    return frozenset(_shapes(node for node in ast.walk(tree) if isinstance(node, ast.stmt)))


def _shapes(statements: Iterable[ast.stmt]) -> Iterator[str]:
    """Each statement that does something, without its names, numbers and texts."""
    for statement in statements:
        if isinstance(statement, ast.Import | ast.ImportFrom | ast.Pass | ast.ClassDef
                      | ast.FunctionDef | ast.AsyncFunctionDef | ast.Global):  # fmt: skip
            continue
        parts = [type(statement).__name__]
        parts += [_shape(node) for node in own_nodes(statement) if isinstance(node, ast.expr)]
        if any(not part.startswith(("Name", "Constant")) for part in parts[1:]):
            yield " ".join(parts)


def _shape(node: ast.expr) -> str:
    words = [type(node).__name__]
    if isinstance(node, ast.Attribute):
        words.append(node.attr)
    if isinstance(node, ast.Call):
        words += sorted(keyword.arg or "**" for keyword in node.keywords)
        if isinstance(node.func, ast.Name):
            words.append(node.func.id if hasattr(builtins, node.func.id) else "f")
    if isinstance(node, ast.BinOp | ast.UnaryOp | ast.BoolOp):
        words.append(type(node.op).__name__)
    if isinstance(node, ast.Compare):
        words += [type(op).__name__ for op in node.ops]
    return "-".join(words)


def _all_scripts(context: Context) -> list[Script]:
    """The scripts of every part that was submitted: documentation counts whichever were chosen."""
    asked = [d for d in context.assignment.deliverables if is_script(d) and not d.optional]
    scripts = (read_script(context, deliverable.id) for deliverable in asked)
    return [script for script in scripts if script is not None]


def _part_3(context: Context) -> list[Script]:
    scripts = (read_script(context, one) for one in (LORA_SCRIPT, INFERENCE_SCRIPT))
    return [script for script in scripts if script is not None]
