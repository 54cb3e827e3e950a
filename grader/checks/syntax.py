"""Reading a script into a syntax tree without ever running it."""

from __future__ import annotations

import ast
import warnings

from grader.constants import SOURCE_MAX_DEPTH


class SourceFault(Exception):
    """A script that cannot be read, by its writer's fault: what is wrong and at which line."""

    def __init__(self, message: str, line: int | None) -> None:
        super().__init__(message)
        self.message = message
        self.line = line


def parse(source: bytes) -> ast.Module:
    """The syntax tree of a script; SourceFault when there is none. Nothing is executed."""
    zero = source.find(b"\0")
    if zero >= 0:
        raise SourceFault("a zero byte", source.count(b"\n", 0, zero) + 1)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # "\d" and the like are the script's own business
            tree = ast.parse(source)
    except SyntaxError as error:
        text = "".join(c for c in (error.msg or "") if c.isprintable())[:120]
        # Python counts an unknown encoding as line 0.
        raise SourceFault(text or "not valid Python", error.lineno or None) from None
    except (RecursionError, MemoryError):
        raise SourceFault("nested too deeply for Python to read", None) from None
    except (ValueError, LookupError):
        text = "characters that are not text in the file's encoding"
        raise SourceFault(text, None) from None
    _refuse_depth(tree)
    return tree


def _refuse_depth(tree: ast.Module) -> None:
    waiting: list[tuple[ast.AST, int, int]] = [(tree, 0, 1)]
    while waiting:
        node, depth, line = waiting.pop()
        line = getattr(node, "lineno", line)
        if depth > SOURCE_MAX_DEPTH:
            raise SourceFault(f"more than {SOURCE_MAX_DEPTH} levels inside each other", line)
        waiting += [(child, depth + 1, line) for child in ast.iter_child_nodes(node)]


def always(node: ast.expr) -> bool | None:
    """What a condition always is, or None when it depends."""
    match node:
        case ast.Constant(value=value):
            return bool(value)
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            inner = always(operand)
            return None if inner is None else not inner
        case ast.Name(id="TYPE_CHECKING") | ast.Attribute(attr="TYPE_CHECKING"):
            return False
        case ast.BoolOp(op=ast.And(), values=values) if any(always(v) is False for v in values):
            return False
        case ast.BoolOp(op=ast.Or(), values=values) if any(always(v) is True for v in values):
            return True
        case ast.Compare(left=ast.Constant(a), ops=[ast.Eq()], comparators=[ast.Constant(b)]):
            return bool(a == b)
        case _:
            return None
