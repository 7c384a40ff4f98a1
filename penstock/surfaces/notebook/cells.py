"""The code of a notebook's cells, and what a function in them needs to stand in a module."""

from __future__ import annotations

import ast
import builtins
import symtable
import sys
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from penstock.errors import UserCodeError

_DEFINES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
_IMPORTS = (ast.Import, ast.ImportFrom)
_BLOCKS = (ast.For, ast.AsyncFor, ast.While, ast.With, ast.AsyncWith, ast.Try, ast.If, ast.Match)
_AT_ONCE = ("listcomp", "setcomp", "dictcomp", "genexpr")


@dataclass(frozen=True)
class Cell:
    """A cell as it was executed; `number` is the one in brackets beside it."""

    number: int
    source: str


@dataclass(frozen=True)
class Statement:
    """A statement of a cell: `binds` are the names that it makes, `changes` those it alters."""

    cell: int
    node: ast.stmt
    text: str
    binds: frozenset[str]
    changes: frozenset[str] = frozenset()
    eager: frozenset[str] = frozenset()
    lazy: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Extract:
    """What a module needs: imports, and statements in an order in which they can run."""

    imports: tuple[str, ...]
    statements: tuple[Statement, ...]

    def source(self, docstring: str) -> str:
        """Return the text of the module."""
        parts = [f'"""{docstring}"""', "from __future__ import annotations"]
        future = "from __future__ "
        for group in grouped([line for line in self.imports if not line.startswith(future)]):
            parts.append("\n".join(group))
        text = "\n\n".join(parts)
        previous: ast.stmt | None = None
        for statement in self.statements:
            text += _space(previous, statement.node) + statement.text
            previous = statement.node
        return text + "\n"


@dataclass
class Cells:
    """All cells so far, and the names that they have made."""

    cells: list[Cell]
    namespace: dict[str, Any]
    statements: list[Statement] = field(default_factory=list)

    def __post_init__(self) -> None:
        for cell in self.cells:
            self.statements += _statements(cell)

    def cell_of(self, name: str) -> int | None:
        """Return the number of the cell that made a name last."""
        cells = [s.cell for s in self.statements if name in s.binds]
        return cells[-1] if cells else None

    def extract(self, *names: str) -> Extract:
        """Return what some functions or classes of the cells consist of, and all that they use.

        Raises:
          UserCodeError: something cannot stand in a module; all of it is named, by cell.
        """
        imports: set[str] = set()
        needed: dict[int, Statement] = {}
        refused: list[str] = []
        seen: set[str] = set()
        waiting = list(reversed(names))
        users = dict.fromkeys(names, "")
        while waiting:
            name = waiting.pop()
            if name in seen:
                continue
            seen.add(name)
            statements = self._statements_of(name)
            if statements is None:
                if name in self.namespace and not hasattr(builtins, name):
                    refused.append(
                        f"{_used(name, users)} is made by no cell: import it, or define it"
                    )
                continue
            if reason := self._reason_against(name, statements[0]):
                refused.append(f"cell [{statements[0].cell}]: {_used(name, users)} {reason}")
                continue
            if isinstance(statements[0].node, _IMPORTS):
                imports.add(_import_of(statements[0].node, name))
                continue
            for statement in statements:
                needed[id(statement)] = statement
                for used in sorted(statement.eager | statement.lazy):
                    users.setdefault(used, name)
                    waiting.append(used)
        if refused:
            raise UserCodeError(
                "nodes run in processes of their own, which have no more than a module has, and "
                "this cannot stand in one: " + "; ".join(refused),
                hint="Give values to a component as parameters and data as artifacts.",
            )
        ordered = [s for s in self.statements if id(s) in needed]
        return Extract(tuple(sorted(imports)), tuple(_runnable(ordered)))

    def _statements_of(self, name: str) -> list[Statement] | None:
        """Return the last statement that makes a name, and those after it that change it."""
        binding = [i for i, s in enumerate(self.statements) if name in s.binds]
        if not binding:
            return None
        last = binding[-1]
        later = [s for s in self.statements[last + 1 :] if name in s.changes]
        return [self.statements[last], *later]

    def _reason_against(self, name: str, statement: Statement) -> str:
        if isinstance(statement.node, (*_DEFINES, *_IMPORTS)):
            return ""
        if "get_ipython" in statement.eager:
            return "is made by a magic command: write it in Python"
        if isinstance(statement.node, _BLOCKS) and not _only_imports_and_values(statement.node):
            return "is made inside a block: a module needs it in a statement of its own"
        kind = type(self.namespace.get(name))
        if kind.__module__.startswith(("penstock.surfaces.notebook.", "IPython.", "ipykernel.")):
            return f"is a {kind.__name__}, which is only in this notebook"
        return ""


def notebook_cells(before: str = "") -> Cells:
    """Return the cells of the notebook that this process runs; a script counts as one cell.

    `before` is code that counts as if it stood before them.
    """
    notebook_shell = shell()
    first = [Cell(0, before)] if before else []
    if notebook_shell is not None:
        # Magic commands are Python here, as they were executed.
        executed = notebook_shell.user_ns.get("In") or []
        cells = [Cell(number, source) for number, source in enumerate(executed) if source.strip()]
        return Cells(first + cells, notebook_shell.user_ns)
    main = sys.modules["__main__"]
    path = getattr(main, "__file__", None)
    cells = []
    if path and Path(path).exists():
        cells = [Cell(0, Path(path).read_text(encoding="utf-8"))]
    return Cells(first + cells, vars(main))


def current_cell() -> int | None:
    """Return the number of the cell that runs now, None outside of notebooks."""
    notebook_shell = shell()
    return None if notebook_shell is None else len(notebook_shell.user_ns.get("In") or [0]) - 1


def shell() -> Any | None:
    """Return IPython's shell, None where it is not at work; IPython is not loaded for that."""
    ipython = sys.modules.get("IPython")
    return ipython.get_ipython() if ipython is not None else None


def _used(name: str, users: dict[str, str]) -> str:
    return f"`{name}`, which {users[name]} uses," if users.get(name) else f"`{name}`"


def _statements(cell: Cell) -> Iterator[Statement]:
    try:
        tree = ast.parse(cell.source)
    except (SyntaxError, ValueError):
        return  # it has not run either
    lines = cell.source.splitlines()
    for node in tree.body:
        first = min([node.lineno, *(d.lineno for d in getattr(node, "decorator_list", ()))])
        while first > 1 and lines[first - 2].startswith("#"):
            first -= 1  # what is said about it stands above it
        text = "\n".join(lines[first - 1 : node.end_lineno])
        eager, lazy = _globals_used(node)
        yield Statement(
            cell.number, node, text, frozenset(_bound(node)), _changed(node), eager, lazy
        )


def _bound(node: ast.stmt) -> set[str]:
    """Return the names that a statement makes."""
    if isinstance(node, _DEFINES):
        return {node.name}
    if isinstance(node, _IMPORTS):
        return {(a.asname or a.name).partition(".")[0] for a in node.names}
    if isinstance(node, ast.AugAssign):
        return set()
    names: set[str] = set()
    for inner in _of_the_module(node):
        if isinstance(inner, ast.Name) and isinstance(inner.ctx, ast.Store):
            names.add(inner.id)
        elif inner is not node and isinstance(inner, (*_DEFINES, *_IMPORTS)):
            names |= _bound(inner)
    return names


def _changed(node: ast.stmt) -> frozenset[str]:
    """Return the names whose values a statement alters: `X += 1`, `X[1] = 2`, `X.append(3)`."""
    names: set[str] = set()
    for inner in _of_the_module(node):
        if isinstance(inner, ast.AugAssign):
            names |= _root(inner.target)
        elif isinstance(inner, (ast.Attribute, ast.Subscript)) and isinstance(
            inner.ctx, (ast.Store, ast.Del)
        ):
            names |= _root(inner)
        elif (
            isinstance(inner, ast.Expr)
            and isinstance(inner.value, ast.Call)
            and isinstance(inner.value.func, ast.Attribute)
        ):
            names |= _root(inner.value.func)
    return frozenset(names)


def _of_the_module(node: ast.AST) -> Iterator[ast.AST]:
    """Walk a statement, but not into the bodies of functions and classes."""
    yield node
    for child in ast.iter_child_nodes(node):
        if isinstance(child, _DEFINES):
            yield child
        elif not isinstance(child, (ast.Lambda, ast.comprehension)):
            yield from _of_the_module(child)


def _root(expression: ast.expr) -> set[str]:
    while isinstance(expression, (ast.Attribute, ast.Subscript)):
        expression = expression.value
    return {expression.id} if isinstance(expression, ast.Name) else set()


def _globals_used(node: ast.stmt) -> tuple[frozenset[str], frozenset[str]]:
    """Return the module's names that a statement needs at once, and when its functions run."""
    code = ast.unparse(node)
    try:
        table = symtable.symtable(code, "<cell>", "exec")
    except SyntaxError:  # an await of its own
        used = frozenset(n.id for n in ast.walk(node) if isinstance(n, ast.Name))
        return used, frozenset()
    eager: set[str] = set()
    lazy: set[str] = set()
    waiting = [(table, True)]
    while waiting:
        scope, at_once = waiting.pop()
        for symbol in scope.get_symbols():
            is_global = scope is table or symbol.is_global()
            if symbol.is_referenced() and is_global:
                (eager if at_once else lazy).add(symbol.get_name())
        waiting += [
            (inner, at_once and (inner.get_type() == "class" or inner.get_name() in _AT_ONCE))
            for inner in scope.get_children()
        ]
    lazy |= _named_in_annotations(node)
    # A function that calls itself needs nothing for that.
    own = _bound(node) if isinstance(node, _DEFINES) else set()
    return frozenset(eager - own), frozenset(lazy - own)


def _named_in_annotations(node: ast.stmt) -> set[str]:
    names: set[str] = set()
    for inner in ast.walk(node):
        for annotation in (getattr(inner, "annotation", None), getattr(inner, "returns", None)):
            for part in ast.walk(annotation) if annotation is not None else ():
                if isinstance(part, ast.Constant) and isinstance(part.value, str):
                    try:
                        parsed = ast.parse(part.value, mode="eval")
                    except SyntaxError:
                        continue
                    names |= {n.id for n in ast.walk(parsed) if isinstance(n, ast.Name)}
    return names


def _only_imports_and_values(node: ast.stmt) -> bool:
    """Whether a block does no more than to choose between imports and plain values."""
    if not isinstance(node, (ast.Try, ast.If)):
        return False
    body = [*node.body, *node.orelse]
    if isinstance(node, ast.Try):
        body += [s for handler in node.handlers for s in handler.body] + node.finalbody
    return all(isinstance(s, (*_IMPORTS, ast.Assign, ast.Pass)) for s in body)


def _import_of(node: ast.stmt, name: str) -> str:
    """Return the one line that imports a name as a statement does."""
    assert isinstance(node, _IMPORTS)
    [alias] = [a for a in node.names if (a.asname or a.name).partition(".")[0] == name][:1]
    renamed = f" as {alias.asname}" if alias.asname else ""
    if isinstance(node, ast.Import):
        return f"import {alias.name}{renamed}"
    return f"from {'.' * node.level}{node.module or ''} import {alias.name}{renamed}"


def _runnable(statements: list[Statement]) -> Iterator[Statement]:
    """Yield statements in their order, each after what it needs at once."""
    done: set[int] = set()

    def visit(statement: Statement) -> Iterator[Statement]:
        if id(statement) in done:
            return
        done.add(id(statement))
        for other in statements:
            if other is not statement and other.binds & (statement.eager | statement.changes):
                yield from visit(other)
        yield statement

    for statement in statements:
        yield from visit(statement)


def grouped(lines: Collection[str]) -> list[list[str]]:
    """Return imports as they are usually sorted: the standard library's, then others; merged."""
    merged: dict[str, set[str]] = {}
    plain: list[str] = []
    for line in sorted(set(lines)):
        if line.startswith("from "):
            module, _, names = line.removeprefix("from ").partition(" import ")
            merged.setdefault(module, set()).update(name.strip() for name in names.split(","))
        else:
            plain.append(line)
    plain += [
        f"from {module} import {', '.join(sorted(names))}" for module, names in merged.items()
    ]
    groups: tuple[list[str], list[str]] = ([], [])
    for line in sorted(plain, key=lambda line: (line.startswith("from"), line)):
        root = line.split()[1].partition(".")[0]
        groups[root not in sys.stdlib_module_names].append(_wrapped(line))
    return [group for group in groups if group]


def _wrapped(line: str) -> str:
    if len(line) <= 100 or not line.startswith("from "):
        return line
    module, _, names = line.partition(" import ")
    inner = "".join(f"    {name},\n" for name in names.split(", "))
    return f"{module} import (\n{inner})"


def _space(previous: ast.stmt | None, node: ast.stmt) -> str:
    if isinstance(previous, _DEFINES) or isinstance(node, _DEFINES):
        return "\n\n\n"
    return "\n\n" if previous is None else "\n"
