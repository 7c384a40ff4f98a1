"""Which code a piece of user code consists of, to know when it changed.

Code is what Python makes of a file: comments, formatting and the place of the folder do not
count; docstrings do, since code can read them. Local are the files beside a module and those of
its own package, transitively, also where a function imports them; an installed package is not
local.
"""

from __future__ import annotations

import ast
import contextlib
import hashlib
import importlib.machinery
import importlib.util
import inspect
import re
import sys
import sysconfig
import textwrap
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any

from penstock.project.user_code import existing_file, package_root, user_code_error

# Folders of installed packages.
_INSTALLED = ("site-packages", "dist-packages")

# Libraries that bring pipelines of their own.
_LIBRARIES = ("penstock", "tfx")

# What imports a module, or runs a file, that it is told when it runs: the argument that names it.
_IMPORT_BY_NAME = ("import_module", "__import__", "run_module")
_DYNAMIC_IMPORTS = {
    "import_module": ("name", 0),
    "__import__": ("name", 0),
    "run_module": ("mod_name", 0),
    "run_path": ("path_name", 0),
    "spec_from_file_location": ("location", 1),
    "SourceFileLoader": ("path", 1),
    "exec": ("source", 0),
}

# What can reach a name of the module without naming it.
_REACHES_ANYTHING = frozenset({"globals", "locals", "vars", "eval", "exec", "__import__"})


def source_digests(module_file: str, *, entry: str | None = None) -> dict[str, str]:
    """Return a digest of the code in a module and in each local module that it imports, by file.

    Files are named relative to the folder that they are imported from. With `entry`, the name of a
    function or class of the module, only what it reaches in its module counts: another function
    beside it may change.

    Raises:
      UserCodeError: a file is missing or is not Python.
    """
    root = package_root(existing_file(module_file))
    files = source_files(module_file, entry=entry)
    return {str(Path(file).relative_to(root)): digest for file, digest in files.items()}


def source_files(module_file: str, *, entry: str | None = None) -> dict[str, str]:
    """Return what `source_digests` does, each file by its whole path.

    Raises:
      UserCodeError: a file is missing or is not Python.
    """
    _, sources = _followed(module_file, entry)
    return {file: _digest(source) for file, source in sorted(sources.items())}


def _followed(module_file: str, entry: str | None) -> tuple[Path, dict[str, ast.Module]]:
    """Return the folder that a module is imported from, and the local code that it runs by file."""
    path = existing_file(module_file)
    root = package_root(path)
    tree = _parse(path)
    if entry is not None:
        tree = _reached_from(tree, entry, path)
    return root, _local_sources(path, tree, root)


def unfollowed_code(module_file: str, *, entry: str | None = None) -> list[str]:
    """Return in words what a module and its local modules run that `source_digests` cannot follow.

    That are modules whose names are only known when the code runs, and local ones that lie
    elsewhere on Python's path.

    Raises:
      UserCodeError: a file is missing or is not Python.
    """
    root, sources = _followed(module_file, entry)
    found = []
    for file, local in sorted(sources.items()):
        name = str(Path(file).relative_to(root))
        for call, argument in _dynamic_imports(local):
            called = _called_name(call)
            if called not in _IMPORT_BY_NAME or argument is None:
                found.append(f"what {called} runs in {name}, line {call.lineno}")
        for top in sorted({name[0] for name, level in _imported_names(local) if not level}):
            elsewhere = _local_file_elsewhere(top)
            if elsewhere is not None and elsewhere not in sources:
                found.append(f"{elsewhere}, which {name} imports")
    return list(dict.fromkeys(found))


def _local_file_elsewhere(module: str) -> str | None:
    """Return the file of a module on Python's path, if it is neither installed nor Python's own."""
    if not module or module in sys.stdlib_module_names or module in _LIBRARIES:
        return None
    try:
        spec = importlib.machinery.PathFinder.find_spec(module)
    except (ImportError, ValueError):
        return None
    file = spec.origin if spec is not None else None
    if not file or not file.endswith(".py") or not _is_local(file):
        return None
    return str(Path(file).resolve())


def certain_imports(module_file: str) -> set[str]:
    """Return the modules that a module and the local modules that it imports cannot do without.

    Imports inside functions, conditions and `try` are left out: code may go on without them.

    Raises:
      UserCodeError: a file is missing or is not Python.
    """
    path = existing_file(module_file)
    sources = _local_sources(path, _parse(path), package_root(path))
    return {name for tree in sources.values() for name in _certain_imports(tree)}


def foreign_imports(module_file: str, *, entry: str | None = None) -> set[str]:
    """Return the modules of others that a module and its local modules import, wherever they do.

    Python's own are left out. With `entry` only what that reaches in its module counts.

    Raises:
      UserCodeError: a file is missing or is not Python.
    """
    path = existing_file(module_file)
    root, sources = _followed(module_file, entry)
    own = _own_package(path, root)[0]
    found = set()
    for file, tree in sources.items():
        folders = {Path(file).parent, path.parent, root}
        for name, level in _imported_names(tree):
            is_local = level > 0 or name[0] == own
            is_local = is_local or any(_is_below(folder, name[0]) for folder in folders)
            if not is_local and name[0] not in sys.stdlib_module_names:
                found.add(".".join(name))
    return found


def _is_below(folder: Path, name: str) -> bool:
    beside = folder.name not in _INSTALLED
    return beside and ((folder / f"{name}.py").is_file() or (folder / name).is_dir())


def _certain_imports(tree: ast.Module) -> Iterator[str]:
    for statement in tree.body:
        if isinstance(statement, ast.Import):
            yield from (alias.name for alias in statement.names)
        elif isinstance(statement, ast.ImportFrom) and statement.module and not statement.level:
            # What is imported may be a module or a name in one.
            yield from (f"{statement.module}.{alias.name}" for alias in statement.names)


def function_digests(function: Callable[..., Any]) -> dict[str, str]:
    """Return a digest of a function that is in no file, as in a notebook, and of what it uses.

    Followed are the functions, classes and values of its module that it names; local modules that
    it uses count as in `source_digests`.
    """
    digests: dict[str, str] = {}
    waiting: list[tuple[str, Any]] = [(function.__name__, function)]
    while waiting:
        name, used = waiting.pop()
        used = inspect.unwrap(used) if callable(used) else used
        home = used if isinstance(used, ModuleType) else _home(used)
        if home is not None and home.__name__ != function.__module__:
            digests.update(_local_digests(home))
        elif name in digests or isinstance(used, ModuleType):
            continue
        elif isinstance(used, (FunctionType, type)):
            digests[name] = _definition_digest(used)
            waiting += _used_by(used)
        else:
            digests[name] = hashlib.sha256(repr(_stable(used)).encode()).hexdigest()
            waiting += [(type(used).__name__, type(used))]
    return digests


def _home(used: Any) -> ModuleType | None:
    """Return the module that defines a function or class."""
    if not isinstance(used, (FunctionType, type)):
        return None
    return sys.modules.get(used.__module__)


def _local_digests(module: ModuleType) -> dict[str, str]:
    file = getattr(module, "__file__", None) or ""
    return source_digests(file) if file.endswith(".py") and _is_local(file) else {}


def _is_local(file: str) -> bool:
    path = Path(file).resolve()
    own = Path(__file__).resolve().parents[1]
    libraries = [Path(sysconfig.get_path(name)).resolve() for name in ("stdlib", "platstdlib")]
    return not set(_INSTALLED) & set(path.parts) and not any(
        path.is_relative_to(folder) for folder in (own, *libraries)
    )


def _used_by(definition: Any) -> Iterator[tuple[str, Any]]:
    """Yield what a function or class names: of its module, and local modules that it imports."""
    if isinstance(definition, type):
        yield from ((base.__name__, base) for base in definition.__bases__ if base is not object)
        for member in vars(definition).values():
            parts = [getattr(member, name, None) for name in ("__func__", "fget", "fset", "fdel")]
            for body in (member, *parts):
                if isinstance(body, FunctionType):
                    yield from _used_by(body)
        return
    names = _names_in(definition.__code__)
    if names & set(_IMPORT_BY_NAME):
        names |= {text.lstrip(".") for text in _texts_in(definition.__code__)}
    for name in names:
        if name in definition.__globals__:
            yield name, definition.__globals__[name]
        elif any(_files_of(name.split("."), Path.cwd())):
            with contextlib.suppress(ImportError):
                spec = importlib.util.find_spec(name.partition(".")[0])
                if spec is not None and spec.origin:
                    module = ModuleType(name)
                    module.__file__ = spec.origin
                    yield name, module


def _names_in(code: CodeType) -> set[str]:
    inner = [const for const in code.co_consts if isinstance(const, CodeType)]
    return set(code.co_names).union(*map(_names_in, inner))


def _texts_in(code: CodeType) -> set[str]:
    inner = [_texts_in(const) for const in code.co_consts if isinstance(const, CodeType)]
    return {const for const in code.co_consts if isinstance(const, str)}.union(*inner)


def _definition_digest(definition: Any) -> str:
    try:
        text = _digest(ast.parse(textwrap.dedent(inspect.getsource(definition))))
    except (OSError, TypeError, SyntaxError):
        # Typed at a prompt that keeps no source.
        text = repr(_stable(definition))
    if isinstance(definition, FunctionType):
        # A default is a value, whatever it is called now.
        text += repr(_stable([definition.__defaults__, definition.__kwdefaults__]))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _stable(value: Any) -> Any:
    """Return what stands for a value in the same way in every process."""
    if isinstance(value, CodeType):
        return (value.co_code, [_stable(const) for const in value.co_consts], value.co_names)
    if isinstance(value, FunctionType):
        return _stable(value.__code__)
    if isinstance(value, type):
        members = sorted(vars(value).items())
        return [(name, _stable(member)) for name, member in members if not name.startswith("__")]
    if isinstance(value, (tuple, list)):
        return [type(value).__name__, *map(_stable, value)]
    if isinstance(value, (set, frozenset)):
        return [type(value).__name__, *sorted(repr(_stable(member)) for member in value)]
    if isinstance(value, dict):
        return [(_stable(key), _stable(member)) for key, member in value.items()]
    return re.sub(r" at 0x[0-9a-fA-F]+", "", repr(value))


def _digest(tree: ast.Module) -> str:
    return hashlib.sha256(ast.dump(tree).encode("utf-8", "surrogatepass")).hexdigest()


def _reached_from(tree: ast.Module, entry: str, path: Path) -> ast.Module:
    """Keep the statements that a definition needs, and those that bind no name."""
    changed = _changes_by_decorators(tree, path)
    imported = set(_imports(tree))
    bound = [
        (statement, _bound_names(statement, imported) | changed.get(id(statement), set()))
        for statement in tree.body
    ]
    if not any(entry in names for _, names in bound):
        return tree
    kept = {
        id(statement)
        for statement, names in bound
        if ("*" in names or not names) and not _runs_as_script(statement)
    }
    kept -= {id(statement) for statement in tree.body if _is_docstring(statement)}
    reached = {entry}
    reached.update(*(_used_names(s) for s, _ in bound if id(s) in kept))
    growing = True
    while growing:
        growing = False
        for statement, names in bound:
            if id(statement) not in kept and names & reached:
                kept.add(id(statement))
                reached |= _used_names(statement)
                growing = True
    if reached & _REACHES_ANYTHING:
        return tree
    body = [part for s in tree.body if id(s) in kept for part in _needed_parts(s, reached)]
    return ast.Module(body, tree.type_ignores)


def _needed_parts(statement: ast.stmt, reached: Collection[str]) -> list[ast.stmt]:
    """Return a statement; an import as one for each name that is needed: others may come."""
    if not isinstance(statement, (ast.Import, ast.ImportFrom)):
        return [statement]
    needed = [
        alias
        for alias in statement.names
        if (alias.asname or alias.name).partition(".")[0] in {*reached, "*"}
    ]
    if isinstance(statement, ast.Import):
        return [ast.Import([alias]) for alias in needed]
    return [ast.ImportFrom(statement.module, [alias], statement.level) for alias in needed]


def _bound_names(statement: ast.stmt, imported: Collection[str] = ()) -> set[str]:
    """Return the names that a statement of a module binds or changes; `*` stands for any."""
    if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        return {statement.name}
    names: set[str] = set()
    for node in ast.walk(statement):
        if isinstance(node, ast.Name) and isinstance(node.ctx, (ast.Store, ast.Del)):
            names.add(node.id)
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            names.add(node.name)
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            names |= {(alias.asname or alias.name).partition(".")[0] for alias in node.names}
        elif isinstance(node, (ast.Attribute, ast.Subscript)) and isinstance(node.ctx, ast.Store):
            # `TABLE["key"] = value` changes what TABLE is.
            names |= {n.id for n in ast.walk(node) if isinstance(n, ast.Name)}
        elif isinstance(node, ast.Expr) and isinstance(node.value, (ast.Call, ast.Await)):
            # A call for its effect, as in a loop that fills a table.
            names.add("*")
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            # `last = STACK.pop()` changes STACK.
            names |= _root(node.func) - set(imported)
    return names


def _root(expression: ast.expr) -> set[str]:
    """Return the name that attributes, items and calls start from."""
    while isinstance(expression, (ast.Attribute, ast.Subscript, ast.Call)):
        is_call = isinstance(expression, ast.Call)
        expression = expression.func if is_call else expression.value  # type: ignore[union-attr]
    return {expression.id} if isinstance(expression, ast.Name) else set()


def _imports(tree: ast.Module) -> dict[str, tuple[list[str], int]]:
    """Return the names that a module's own statements import, and from where."""
    imports: dict[str, tuple[list[str], int]] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                name = alias.asname or alias.name.partition(".")[0]
                imports[name] = (alias.name.split("."), 0)
        elif isinstance(node, ast.ImportFrom):
            module = node.module.split(".") if node.module else []
            for alias in node.names:
                imports[alias.asname or alias.name] = ([*module, alias.name], node.level)
    return imports


def _changes_by_decorators(tree: ast.Module, path: Path) -> dict[int, set[str]]:
    """Return the values of a module that the decorators of a definition may change.

    `@register` puts a function into a table that others read. Decorators of libraries do not, and
    those of other local files may do anything.
    """
    imported = _imports(tree)
    defined: dict[str, ast.stmt] = {}
    values: set[str] = set()
    for statement in tree.body:
        if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            defined[statement.name] = statement
        elif not isinstance(statement, (ast.Import, ast.ImportFrom)):
            values |= _bound_names(statement)
    changes: dict[int, set[str]] = {}
    for statement in defined.values():
        roots = set().union(*map(_root, statement.decorator_list))  # type: ignore[attr-defined]
        if any(name in imported and _comes_from_beside(*imported[name], path) for name in roots):
            changes[id(statement)] = {"*"}
            continue
        used, waiting = set(roots), list(roots & defined.keys())
        while waiting:
            names = _used_names(defined[waiting.pop()])
            waiting += (names - used) & defined.keys()
            used |= names
        changes[id(statement)] = used & values - {"*"}
    return changes


def _comes_from_beside(name: list[str], level: int, path: Path) -> bool:
    return level > 0 or any(_files_of(name, path.parent))


def _used_names(statement: ast.stmt) -> set[str]:
    names = {node.id for node in ast.walk(statement) if isinstance(node, ast.Name)}
    # An annotation may be a string that names a type.
    for node in ast.walk(statement):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and len(node.value) < 100:
            names |= {part for part in node.value.replace(".", " ").split() if part.isidentifier()}
    return names


def _is_docstring(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


def _runs_as_script(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.If) and any(
        isinstance(node, ast.Name) and node.id == "__name__" for node in ast.walk(statement.test)
    )


def _local_sources(path: Path, tree: ast.Module, root: Path) -> dict[str, ast.Module]:
    package = _own_package(path, root)
    trees: dict[str, ast.Module] = {}
    waiting = [path]
    while waiting:
        file = waiting.pop()
        if str(file) in trees:
            continue
        trees[str(file)] = tree if file == path else _parse(file)
        for name, level in _imported_names(trees[str(file)]):
            if level:
                waiting += _files_of(name, file.parents[min(level, len(file.parents)) - 1])
                continue
            for folder in {file.parent, path.parent}:
                if folder.name not in _INSTALLED:
                    waiting += _files_of(name, folder)
            if package[0] in name:
                # A package may be installed under a longer name than its folders have.
                own = name[name.index(package[0]) :]
                if own[: len(package)] == package:
                    waiting += _files_of(own, root)
    return trees


def _own_package(path: Path, root: Path) -> list[str]:
    """Return the package whose modules are local to a file.

    Whoever uses a module file of a library's examples means the files beside it, not the library.
    """
    parts = list(path.relative_to(root).with_suffix("").parts)
    is_example = root.name in _INSTALLED and parts[0] in _LIBRARIES
    return parts[:-1] if is_example and len(parts) > 1 else parts[:1]


def _parse(file: Path) -> ast.Module:
    try:
        return ast.parse(file.read_bytes(), filename=str(file))
    except (SyntaxError, ValueError) as error:
        raise user_code_error("the module is not Python", error, str(file)) from error


def _imported_names(tree: ast.Module) -> Iterator[tuple[list[str], int]]:
    """Return the dotted names that a module imports, with their level if they are relative.

    Those that a function is given as text count, where it is a constant of the module.
    """
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name.split("."), 0
        elif isinstance(node, ast.ImportFrom):
            module = node.module.split(".") if node.module else []
            for alias in node.names:
                yield [*module, alias.name], node.level
    for call, argument in _dynamic_imports(tree):
        if _called_name(call) in _IMPORT_BY_NAME and isinstance(argument, str):
            name = argument.lstrip(".")
            yield name.split("."), len(argument) - len(name)


def _dynamic_imports(tree: ast.Module) -> Iterator[tuple[ast.Call, str | None]]:
    """Yield the calls that import or run other code, with its name or path if it is a constant."""
    constants = _text_constants(tree)
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or _called_name(node) not in _DYNAMIC_IMPORTS:
            continue
        name, position = _DYNAMIC_IMPORTS[_called_name(node)]
        given = [keyword.value for keyword in node.keywords if keyword.arg == name]
        given = [*node.args[position : position + 1], *given]
        if given and isinstance(given[0], ast.Name):
            yield node, constants.get(given[0].id)
        elif given and isinstance(given[0], ast.Constant) and isinstance(given[0].value, str):
            yield node, given[0].value
        elif given:
            yield node, None


def _called_name(call: ast.Call) -> str:
    function = call.func
    if isinstance(function, ast.Attribute):
        # `model.exec(...)` is somebody else's.
        return function.attr if function.attr not in ("exec", "__import__") else ""
    return function.id if isinstance(function, ast.Name) else ""


def _text_constants(tree: ast.Module) -> dict[str, str | None]:
    """Return the texts of names that are bound once in a module, None for others."""
    bound: dict[str, str | None] = {}
    for node in ast.walk(tree):
        names: list[ast.expr] = []
        value: ast.expr | None = None
        if isinstance(node, ast.Assign):
            names, value = node.targets, node.value
        elif isinstance(node, (ast.AnnAssign, ast.AugAssign, ast.NamedExpr, ast.For)):
            names = [node.target]
            value = node.value if isinstance(node, (ast.AnnAssign, ast.NamedExpr)) else None
        elif isinstance(node, ast.arg):
            bound[node.arg] = None
        is_text = isinstance(value, ast.Constant) and isinstance(value.value, str)
        for name in (part for target in names for part in ast.walk(target)):
            if isinstance(name, ast.Name):
                once = is_text and name.id not in bound
                bound[name.id] = value.value if once else None  # type: ignore[union-attr]
    return bound


def _files_of(name: list[str], base: Path) -> Iterator[Path]:
    """Return the files below `base` that importing a dotted name runs."""
    folder = base
    for part in name:
        for candidate in (folder / f"{part}.py", folder / part / "__init__.py"):
            if candidate.is_file():
                yield candidate.resolve()
        folder = folder / part
