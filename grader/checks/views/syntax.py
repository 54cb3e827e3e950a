"""Reading a script into a syntax tree without ever running it.

What is known of a script once it has been followed: its calls, names and values.
"""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from grader.core.constants import (
    SOURCE_MAX_DEPTH,
    SOURCE_MAX_DOTS,
    SOURCE_MAX_LINES,
    SOURCE_MAX_ORIGINS,
)


class SourceFault(Exception):
    """A script that cannot be read, by its writer's fault: what is wrong and at which line."""

    def __init__(self, message: str, line: int | None) -> None:
        super().__init__(message)
        self.message = message
        self.line = line


# Each name is tried once, since it begins where no name goes on; what follows is possessive.
_SPACE: Final = rb"(?:[ \t\f]|\\\r?\n)*+"
_DOTTED: Final = re.compile(
    rb"(?<![\w\x80-\xff])(?:[\w\x80-\xff]++%b\.%b){%d}" % (_SPACE, _SPACE, SOURCE_MAX_DOTS)
)


def parse(source: bytes) -> ast.Module:
    """The syntax tree of a script; SourceFault when there is none. Nothing is executed."""
    zero = source.find(b"\0")
    if zero >= 0:
        raise SourceFault("a zero byte", source.count(b"\n", 0, zero) + 1)
    lines = source.count(b"\n")
    if lines > SOURCE_MAX_LINES:
        raise SourceFault(f"{lines} lines; at most {SOURCE_MAX_LINES} are read", None)
    dotted = _DOTTED.search(source)
    if dotted is not None:
        line = source.count(b"\n", 0, dotted.start()) + 1
        raise SourceFault(f"a name of more than {SOURCE_MAX_DOTS} levels", line)
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


Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, slots=True, eq=False)
class ScriptCall:
    """One call as the script would make it.

    `name` is dotted and written out ("peft.LoraConfig", "model.generate"). `inside` names the
    local functions that led here, outermost first. `looped`: within a loop. `with_names`: the
    calls of the `with` blocks around it. `handed_over`: reached because a function was passed on,
    not called, so when it runs is not known.
    """

    name: str
    node: ast.Call
    inside: tuple[str, ...]
    loops: tuple[ast.stmt | ast.expr, ...]
    with_names: tuple[str, ...]
    handed_over: bool

    @property
    def method(self) -> str:
        """The last part of the name."""
        return self.name.rsplit(".", 1)[-1]

    @property
    def line(self) -> int:
        """1-based line of the call."""
        return self.node.lineno


@dataclass(slots=True)
class ScriptModel:
    """What `follow.read_program` found out. Names are not told apart by scope."""

    tree: ast.Module
    imports: dict[str, str] = field(default_factory=dict)
    imported: list[tuple[str, int]] = field(default_factory=list)
    """Dotted names that are really imported, each with its line in the file that imports it."""
    functions: dict[str, Function] = field(default_factory=dict)
    classes: dict[str, ast.ClassDef] = field(default_factory=dict)
    methods: dict[str, list[Function]] = field(default_factory=dict)
    assigned: dict[str, list[ast.expr]] = field(default_factory=dict)
    loaded: set[str] = field(default_factory=set)
    calls: list[ScriptCall] = field(default_factory=list)
    statements: list[ast.stmt] = field(default_factory=list)
    """Every statement that can run, each once."""
    discarded: set[ast.expr] = field(default_factory=set)
    """Expressions that stand alone as a statement: their value goes nowhere."""
    complete: bool = True
    """False when the script was too large or too entangled to follow to its end."""
    _returns: dict[Function, list[ast.expr]] = field(default_factory=dict)
    _names: dict[ast.expr, str] = field(default_factory=dict)

    def is_local(self, name: str) -> bool:
        """Whether the script itself defines a function or class of that name."""
        return name in self.functions or name in self.classes

    def dotted(self, node: ast.expr) -> str:
        """The expression as a dotted name, written out through the imports; "?" if it is none."""
        parts: list[str] = []
        while True:
            if isinstance(node, ast.Attribute):
                parts.append(node.attr)
                node = node.value
            elif isinstance(node, ast.Call):
                node = node.func
                parts.append("()")
            elif isinstance(node, ast.Subscript):
                node = node.value
                parts.append("[]")
            else:
                break
        root = "?"
        if isinstance(node, ast.Name):
            if self.is_local(node.id):
                root = f".{node.id}" if parts else node.id  # never the module of the same name
            else:
                root = self.imports.get(node.id, node.id)
        name = ".".join([root, *reversed(parts)])
        return name.replace(".()", "()").replace(".[]", "[]")

    def origins(self, node: ast.expr) -> frozenset[str]:
        """Dotted names of the calls that the value of an expression may have come from."""
        found: set[str] = set()
        seen: set[int] = set()
        names: set[str] = set()
        waiting: list[ast.expr] = [node]

        def once(name: str, values: list[ast.expr]) -> list[ast.expr]:
            new = [] if name in names else values
            names.add(name)
            return new

        while waiting:
            value = waiting.pop()
            if id(value) in seen:
                continue
            seen.add(id(value))
            if len(seen) > SOURCE_MAX_ORIGINS:
                self.complete = False
                break
            match value:
                case ast.Name(id=name):
                    waiting += once(name, self.assigned.get(name, []))
                case ast.Attribute() if (text := ast.unparse(value)) in self.assigned:
                    waiting += once(text, self.assigned[text])
                case ast.Call(func=ast.Name(id=name)) if name in self.functions:
                    waiting += once(f"{name}()", self._returned(name))
                case ast.Call(func=function):
                    found.add(self.dotted(function))
                case ast.Subscript(
                    value=ast.Call(func=ast.Name(id=name)), slice=ast.Constant(i)
                ) if name in self.functions and isinstance(i, int):
                    for returned in self._returned(name):
                        if isinstance(returned, ast.Tuple) and i < len(returned.elts):
                            waiting.append(returned.elts[i])
                case ast.IfExp(body=one, orelse=other):
                    waiting += [one, other]
                case ast.Await(value=inner) | ast.NamedExpr(value=inner):
                    waiting.append(inner)
                case _:
                    pass
        return frozenset(found)

    def receiver(self, call: ScriptCall) -> frozenset[str]:
        """What a method is called on: its dotted name and where its value may have come from."""
        if not isinstance(call.node.func, ast.Attribute):
            return frozenset()
        return self.origins(call.node.func.value) | {call.name.rpartition(".")[0]}

    def arguments(self, call: ast.Call) -> tuple[dict[str, ast.expr], bool]:
        """The keyword arguments of a call, through `**NAME`, and whether these are all."""
        found: dict[str, ast.expr] = {}
        complete = True
        waiting = [(keyword.arg, keyword.value) for keyword in call.keywords]
        rounds = 0
        while waiting and rounds < SOURCE_MAX_DEPTH:
            rounds += 1
            name, value = waiting.pop()
            if name is not None:
                found.setdefault(name, value)
            elif isinstance(value, ast.Dict):
                for key, item in zip(value.keys, value.values, strict=True):
                    if key is None:
                        waiting.append((None, item))
                    elif isinstance(key, ast.Constant) and isinstance(key.value, str):
                        found.setdefault(key.value, item)
                    else:
                        complete = False
            elif isinstance(value, ast.Call) and self.dotted(value.func) == "dict":
                complete = complete and not value.args
                waiting += [(keyword.arg, keyword.value) for keyword in value.keywords]
            elif isinstance(value, ast.Name) and value.id in self.assigned:
                waiting += [(None, one) for one in self.assigned[value.id]]
            else:
                complete = False
        return found, complete

    def constant(self, node: ast.expr) -> object:
        """The literal an expression stands for, through one name; Ellipsis when it is not one."""
        if isinstance(node, ast.Name) and len(self.assigned.get(node.id, [])) == 1:
            node = self.assigned[node.id][0]
        return node.value if isinstance(node, ast.Constant) else ...

    def is_used(self, call: ScriptCall) -> bool:
        """Whether the value of the call goes anywhere."""
        if call.node in self.discarded:
            return False
        if not self._names:
            for name, values in self.assigned.items():
                for value in values:
                    self._names.setdefault(value, name)
        given = self._names.get(call.node)
        return given is None or given in self.loaded

    def _returned(self, name: str) -> list[ast.expr]:
        """What the function of this name returns."""
        function = self.functions[name]
        if function not in self._returns:
            nodes = ast.walk(function)
            self._returns[function] = [
                n.value for n in nodes if isinstance(n, ast.Return) and n.value
            ]
        return self._returns[function]


def own_nodes(statement: ast.stmt) -> Iterator[ast.AST]:
    """The nodes of a statement itself, without the statements inside it."""
    waiting: list[ast.AST] = [statement]
    while waiting:
        node = waiting.pop()
        yield node
        waiting += [
            child
            for child in ast.iter_child_nodes(node)
            if not isinstance(child, ast.stmt | ast.ExceptHandler | ast.match_case)
        ]
