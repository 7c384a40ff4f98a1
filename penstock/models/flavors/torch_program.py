"""What may be in an exported program of PyTorch: a graph of operators and tensors, and no code.

An archive of `torch.export` can hold more than that. torch evaluates the texts of symbolic
expressions and of guards as Python, looks functions up by the names that nodes give, falls back to
unpickling, and loads compiled libraries. All of that is looked for before torch sees the file.
"""

from __future__ import annotations

import ast
import json
import os
import re
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from penstock.errors import DataError

# Files of the archive below its own folder: of torch 2.8 and later, and of those before.
_MEMBERS = re.compile(
    r"(?:[^/]+/)?(?:models/[^/]+\.json|data/(?:weights|constants|sample_inputs)/[^/]+"
    r"|archive_format|archive_version|byteorder|version|\.data/[^/]+|\.format/[^/]+"
    r"|serialized_exported_program\.json|serialized_(?:state_dict|constants|example_inputs)\.(?:pt|json))"
)
# What a node may call: operators on tensors, and arithmetic on sizes.
_TARGETS = re.compile(
    r"torch\.ops\.(?:aten|prims)\.\w+\.\w+|_operator\.\w+|math\.\w+|torch\.sym_\w+"
    r"|torch\.ops\.higher_order\.(?:cond|while_loop|map_impl|scan|associative_scan)"
    r"|torch\._sym_\w+|\w+"
)
# Operators that touch files.
_FORBIDDEN = re.compile(r"torch\.ops\.aten\.from_file\.\w+|_operator\.(?:methodcaller|call)")
_EXPRESSION_CALLS = re.compile(
    r"Symbol|Integer|Float|Rational|Add|Mul|Pow|Max|Min|Mod|PythonMod|FloorDiv|CleanDiv|CeilDiv"
    r"|TrueDiv|IntTrueDiv|FloatTrueDiv|ModularIndexing|Where|PowByNatural|FloatPow|Abs|ceiling"
    r"|floor|CeilToInt|FloorToInt|RoundToInt|RoundDecimal|ToFloat|TruncToInt|TruncToFloat"
    r"|Eq|Ne|Lt|Le|Gt|Ge|And|Or|Not|Equality|Unequality|LessThan|GreaterThan|StrictLessThan"
    r"|StrictGreaterThan|Identity|sqrt|log|exp"
)
_EXPRESSION_PARTS = (
    ast.Expression,
    ast.BinOp,
    ast.UnaryOp,
    ast.BoolOp,
    ast.Compare,
    ast.operator,
    ast.unaryop,
    ast.boolop,
    ast.cmpop,
    ast.expr_context,
    ast.keyword,
)


def check_program(path: str) -> None:
    """Raise DataError where an archive holds more than a graph of operators and tensors."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            others = [name for name in names if not _MEMBERS.fullmatch(name)]
            if others:
                raise _more(path, f"the file {others[0]}")
            documents = [json.loads(archive.read(name)) for name in names if _is_graph(name)]
    except (OSError, zipfile.BadZipFile, ValueError, NotImplementedError) as error:
        raise DataError(
            f"cannot read the model: {type(error).__name__}: {error}", path=path
        ) from error
    if not documents:
        raise DataError("cannot read the model: there is no program in the archive", path=path)
    for document in documents:
        for key, value in _strings(document):
            if key == "expr_str" and not _is_expression(value):
                raise _more(path, f"the expression {value!r}")
            if key == "target" and (not _TARGETS.fullmatch(value) or _FORBIDDEN.fullmatch(value)):
                raise _more(path, f"a call of {value}")


@contextmanager
def without_unpickling() -> Iterator[None]:
    """Have torch load tensors alone, whatever its own code asks for."""
    name = "TORCH_FORCE_WEIGHTS_ONLY_LOAD"
    before = os.environ.get(name)
    os.environ[name] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


def _is_graph(name: str) -> bool:
    folder, _, file = name.rpartition("/")
    of_models = folder == "models" or folder.endswith("/models")
    return (of_models and file.endswith(".json")) or file == "serialized_exported_program.json"


def _strings(value: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """Yield all texts in a document with the key that they stand under."""
    waiting = [(key, value)]
    while waiting:
        name, item = waiting.pop()
        if isinstance(item, Mapping):
            waiting += item.items()
        elif isinstance(item, list):
            waiting += [(name, entry) for entry in item]
        elif isinstance(item, str):
            yield name, item


def _is_expression(text: str) -> bool:
    """Return whether a text is arithmetic on symbols, as torch writes it."""
    try:
        tree = ast.parse(text, mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return all(_is_part(node) for node in ast.walk(tree))


def _is_part(node: ast.AST) -> bool:
    if isinstance(node, ast.Call):
        return isinstance(node.func, ast.Name) and bool(_EXPRESSION_CALLS.fullmatch(node.func.id))
    if isinstance(node, ast.Name):
        known = _EXPRESSION_CALLS.fullmatch(node.id) or re.fullmatch(r"[a-z]+\d+", node.id)
        return bool(known)
    if isinstance(node, ast.Constant):
        plain = isinstance(node.value, (bool, int, float))
        return plain or (
            isinstance(node.value, str) and re.fullmatch(r"\w+", node.value) is not None
        )
    return isinstance(node, _EXPRESSION_PARTS)


def _more(path: str, what: str) -> DataError:
    return DataError(
        f"a program of PyTorch should be a graph of operators and tensors, and this one has "
        f"{what}: it is not loaded",
        path=path,
        hint="It may be code, or made by a torch that is newer than this Penstock knows. Who made "
        "it?",
    )
