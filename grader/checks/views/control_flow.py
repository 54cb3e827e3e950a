"""Follows a script through its syntax tree in the order of execution; nothing ever runs.

`read_program` follows a script from its first line as Python would: into functions where they are
called, past code that can never run (`if False`, after `return`, functions nobody calls). What
comes out is the list of calls in the order of execution, with the names written out through the
imports, so that `from peft import LoraConfig as L` and `peft.LoraConfig` read the same.

Modules that the student submitted beside the script are followed too where they are imported.

It is an approximation on the lenient side: every branch of an `if` is taken, a loop runs once, and
names are not told apart by scope.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from functools import lru_cache

from grader.checks.views.syntax import Function, ScriptCall, ScriptModel, SourceFault, always, parse
from grader.core.constants import SOURCE_MAX_STEPS

_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_REGISTERING = frozenset({"command", "callback", "main", "group"})
"""Decorators that hand a function to a command-line library, which then calls it."""


@lru_cache(maxsize=8)
def read_program(
    source: bytes, beside: tuple[tuple[str, bytes], ...] = (), *, whole: bool = True
) -> ScriptModel:
    """Follow a script; `beside` holds the (module name, source) that it may import.

    With `whole` false there are more of these, so it is not followed to its end.

    Raises SourceFault when the script is no valid Python. A module beside it that is none is
    left out.
    """
    program = ScriptModel(parse(source), complete=whole)
    modules: dict[str, ast.Module] = {}
    for name, text in beside:
        try:
            modules[name] = parse(text)
        except SourceFault:
            continue
    try:
        _Walk(program, modules).module(program.tree)
    except (_OutOfSteps, RecursionError):
        program.complete = False
    return program


def _collect(program: ScriptModel, tree: ast.Module) -> None:
    """Note what a module defines."""
    inside_class: set[ast.AST] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            program.classes[node.name] = node
            for child in node.body:
                if isinstance(child, _FUNCTIONS):
                    inside_class.add(child)
                    program.methods.setdefault(child.name, []).append(child)
    for node in ast.walk(tree):
        if isinstance(node, _FUNCTIONS) and node not in inside_class:
            program.functions[node.name] = node


class _OutOfSteps(Exception):
    pass


class _Walk:
    """Goes through a program in the order of execution and notes what it meets."""

    def __init__(self, program: ScriptModel, beside: dict[str, ast.Module]) -> None:
        self.program = program
        self.beside = dict(beside)
        self.modules = frozenset(beside)
        self.inside: tuple[str, ...] = ()
        self.loops: tuple[ast.stmt | ast.expr, ...] = ()
        self.with_names: tuple[str, ...] = ()
        self.handed_over = False
        self.steps = 0
        self.seen: set[ast.stmt] = set()

    def module(self, tree: ast.Module) -> None:
        """Walk the script itself or a module that it imports."""
        _collect(self.program, tree)
        self.block(tree.body)

    def block(self, statements: Sequence[ast.stmt]) -> bool:
        """Walk statements up to one that leaves; True when one does."""
        return any(self.statement(statement) for statement in statements)

    def statement(self, node: ast.stmt) -> bool:
        """Walk one statement; True when nothing after it in its block can run."""
        self.step()
        if node not in self.seen:
            self.seen.add(node)
            self.program.statements.append(node)
        match node:
            case ast.If(test=test, body=body, orelse=orelse):
                truth = always(test)
                self.expression(test)
                left = self.block(body) if truth is not False else True
                otherwise = self.block(orelse) if truth is not True else True
                return left and otherwise
            case ast.For() | ast.AsyncFor():
                self.expression(node.iter)
                self.loop(node, node.body)
                self.block(node.orelse)
                return False
            case ast.While(test=test):
                if always(test) is not False:
                    self.loop(node, node.body, test)
                self.block(node.orelse)
                return False
            case ast.With() | ast.AsyncWith():
                return self.with_block(node)
            case ast.Try() | ast.TryStar():
                left = self.block(node.body)
                for handler in node.handlers:
                    left = self.block(handler.body) and left
                self.block(node.orelse)
                return self.block(node.finalbody) or left
            case ast.Match():
                self.expression(node.subject)
                for case in node.cases:
                    self.block(case.body)
                return False
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                self.definition(node)
                return False
            case ast.ClassDef():
                for expression in [*node.bases, *node.decorator_list]:
                    self.expression(expression)
                self.block([one for one in node.body if not isinstance(one, _FUNCTIONS)])
                return False
            case ast.Import() | ast.ImportFrom():
                self.importing(node)
                return False
            case ast.Assign(targets=targets, value=value):
                self.expression(value)
                for target in targets:
                    self.assign(target, value)
                return False
            case ast.AnnAssign(target=target, value=ast.expr() as value):
                self.expression(value)
                self.assign(target, value)
                return False
            case ast.Expr(value=value):
                self.program.discarded.add(value)
                self.expression(value)
                return isinstance(value, ast.Call) and self.program.dotted(value.func) in (
                    "sys.exit",
                    "exit",
                    "quit",
                    "os._exit",
                )
            case _:
                for child in ast.iter_child_nodes(node):
                    if isinstance(child, ast.expr):
                        self.expression(child)
                return isinstance(node, ast.Return | ast.Raise | ast.Break | ast.Continue)

    def loop(
        self, node: ast.stmt | ast.expr, body: Sequence[ast.stmt], test: ast.expr | None = None
    ) -> None:
        outer = self.loops
        self.loops = (*outer, node)
        if test is not None:
            self.expression(test)
        self.block(body)
        self.loops = outer

    def with_block(self, node: ast.With | ast.AsyncWith) -> bool:
        outer = self.with_names
        for item in node.items:
            self.expression(item.context_expr)
            if item.optional_vars is not None:
                self.assign(item.optional_vars, item.context_expr)
            self.with_names = (*self.with_names, self.program.dotted(item.context_expr))
        left = self.block(node.body)
        self.with_names = outer
        return left

    def definition(self, node: Function) -> None:
        for decorator in node.decorator_list:
            self.expression(decorator)
            target = decorator.func if isinstance(decorator, ast.Call) else decorator
            if isinstance(target, ast.Attribute) and target.attr in _REGISTERING:
                self.enter(node.name, node)
        for default in [*node.args.defaults, *node.args.kw_defaults]:
            if default is not None:
                self.expression(default)

    def importing(self, node: ast.Import | ast.ImportFrom) -> None:
        for alias in node.names:
            if isinstance(node, ast.Import):
                full = alias.name
                known = alias.name if alias.asname else alias.name.split(".")[0]
            else:
                full = known = f"{'.' * node.level}{node.module or ''}.{alias.name}"
            name = alias.asname or known.rsplit(".", 1)[-1]
            module = self.beside.pop(full.lstrip(".").split(".")[0], None)
            if module is not None:
                mine = dict(self.program.functions), dict(self.program.classes)
                self.module(module)
                self.program.functions.update(mine[0])  # the script's own come first
                self.program.classes.update(mine[1])
            if isinstance(node, ast.ImportFrom) and alias.name in self.program.functions:
                self.program.functions[name] = self.program.functions[alias.name]
            else:
                self.program.imported.append((full, node.lineno))
                self.program.imports[name] = known

    def assign(self, target: ast.expr, value: ast.expr) -> None:
        """Note what a name, an attribute or the names of a tuple are given."""
        if isinstance(target, ast.Tuple | ast.List):
            for i, part in enumerate(target.elts):
                item: ast.expr = ast.Subscript(value, ast.Constant(i), ast.Load())
                if isinstance(value, ast.Tuple | ast.List) and len(value.elts) > i:
                    item = value.elts[i]
                self.assign(part, item)
        elif isinstance(target, ast.Name | ast.Attribute):
            self.program.assigned.setdefault(ast.unparse(target), []).append(value)

    def expression(self, node: ast.expr) -> None:
        """Walk an expression in the order of evaluation."""
        self.step()
        match node:
            case ast.Call():
                self.call(node)
            case ast.Name(id=name, ctx=ast.Load()):
                self.program.loaded.add(name)
                self.hand_over(name)
            case ast.Attribute(value=value, attr=attribute, ctx=ast.Load()):
                self.steps += _levels(value)  # its text is as long
                self.expression(value)
                self.program.loaded.add(ast.unparse(node))
                if isinstance(value, ast.Name) and value.id in ("self", "cls"):
                    self.hand_over(attribute)
            case ast.IfExp(test=test, body=body, orelse=orelse):
                self.expression(test)
                truth = always(test)
                if truth is not False:
                    self.expression(body)
                if truth is not True:
                    self.expression(orelse)
            case ast.BoolOp(op=op, values=values):
                stop = isinstance(op, ast.Or)
                for value in values:
                    self.expression(value)
                    if always(value) is stop:
                        break
            case ast.ListComp() | ast.SetComp() | ast.GeneratorExp() | ast.DictComp():
                self.comprehension(node)
            case ast.NamedExpr(target=target, value=value):
                self.expression(value)
                self.assign(target, value)
            case _:
                for child in _expressions(node):
                    self.expression(child)

    def comprehension(
        self, node: ast.ListComp | ast.SetComp | ast.GeneratorExp | ast.DictComp
    ) -> None:
        outer = self.loops
        for generator in node.generators:
            self.expression(generator.iter)
            self.loops = (*self.loops, node)
            for condition in generator.ifs:
                self.expression(condition)
        parts = [node.key, node.value] if isinstance(node, ast.DictComp) else [node.elt]
        for part in parts:
            self.expression(part)
        self.loops = outer

    def call(self, node: ast.Call) -> None:
        function = node.func
        if isinstance(function, ast.Attribute):
            self.expression(function.value)
        elif not isinstance(function, ast.Name):
            self.expression(function)
        for value in [*node.args, *(keyword.value for keyword in node.keywords)]:
            self.expression(value)
        program = self.program
        if isinstance(function, ast.Name) and function.id in program.functions:
            self.enter(function.id, program.functions[function.id], node)
        elif isinstance(function, ast.Name) and function.id in program.classes:
            self.instance(function.id, node)
        elif isinstance(function, ast.Attribute) and self.from_beside(function):
            self.enter(function.attr, program.functions[function.attr], node)
        elif isinstance(function, ast.Attribute) and self.own_method(function):
            for method in program.methods[function.attr]:
                self.enter(function.attr, method, node)
        else:
            name = program.dotted(function)
            if isinstance(function, ast.Name):
                program.loaded.add(function.id)
            program.calls.append(
                ScriptCall(name, node, self.inside, self.loops, self.with_names, self.handed_over)
            )

    def from_beside(self, function: ast.Attribute) -> bool:
        """Whether this is a function of a module that stands beside the script."""
        module = function.value
        if not isinstance(module, ast.Name) or function.attr not in self.program.functions:
            return False
        return self.program.imports.get(module.id) in self.modules

    def own_method(self, function: ast.Attribute) -> bool:
        """Whether a method call reaches a method that the script defines."""
        if function.attr not in self.program.methods:
            return False
        receiver = function.value
        if isinstance(receiver, ast.Name) and receiver.id in ("self", "cls"):
            return True
        return any(name in self.program.classes for name in self.program.origins(receiver)) or (
            isinstance(receiver, ast.Name) and receiver.id in self.program.classes
        )

    def instance(self, name: str, node: ast.Call) -> None:
        """Walk what making an object of a local class runs, now or later."""
        made = self.program.classes[name]
        for child in made.body:
            if not isinstance(child, _FUNCTIONS):
                continue
            if child.name == "__init__":
                self.enter(f"{name}.__init__", child, node)
            elif any(not self.program.is_local(self.program.dotted(base)) for base in made.bases):
                self.later(f"{name}.{child.name}", child)  # a library calls what it inherits
        self.program.calls.append(
            ScriptCall(name, node, self.inside, self.loops, self.with_names, self.handed_over)
        )

    def hand_over(self, name: str) -> None:
        if name in self.program.functions:
            self.later(name, self.program.functions[name])

    def later(self, name: str, function: Function) -> None:
        outer = self.handed_over
        self.handed_over = True
        self.enter(name, function)
        self.handed_over = outer

    def enter(
        self,
        name: str,
        function: Function,
        call: ast.Call | None = None,
    ) -> None:
        """Walk a function where it is called; a function inside itself is not walked again."""
        self.step()
        if name in self.inside:
            return
        if call is not None:
            parameters = [*function.args.posonlyargs, *function.args.args]
            if parameters and parameters[0].arg in ("self", "cls"):
                parameters = parameters[1:]
            for parameter, value in zip(parameters, call.args, strict=False):
                self.assign(ast.Name(parameter.arg, ast.Store()), value)
            for keyword in call.keywords:
                if keyword.arg is not None:
                    self.assign(ast.Name(keyword.arg, ast.Store()), keyword.value)
        outer = self.inside
        self.inside = (*outer, name)
        self.block(function.body)
        self.inside = outer

    def step(self) -> None:
        self.steps += 1
        if self.steps > SOURCE_MAX_STEPS:
            raise _OutOfSteps


def _levels(node: ast.expr) -> int:
    """How many attributes, calls and subscripts stand behind each other."""
    levels = 0
    while isinstance(node, ast.Attribute | ast.Call | ast.Subscript):
        node = node.func if isinstance(node, ast.Call) else node.value
        levels += 1
    return levels


def _expressions(node: ast.AST) -> Iterator[ast.expr]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.expr):
            yield child
        elif isinstance(child, ast.keyword | ast.comprehension | ast.arguments):
            yield from _expressions(child)
