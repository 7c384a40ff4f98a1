"""What AutoGraph makes of the functions of libraries, kept for the processes that come after.

TensorFlow traces a `tf.function` by rewriting each Python function that it calls, and forgets with
its process what came of it. To save one model with a Transform graph are some 70 functions of
tensorflow_transform, tfx_bsl and tf_keras, which are the same every time and take longer than many
a training. TensorFlow itself has the result hang on a function's code and on options alone; here it
hangs on the whole source file besides, and on the versions of what rewrites.

As with bytecode, PYTHONDONTWRITEBYTECODE keeps anything from being written. What is kept lies in a
folder of the user's alone, since it is executed, and may be removed at any time.
"""

from __future__ import annotations

import functools
import hashlib
import importlib
import importlib.metadata
import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any

from penstock.errors import StorageError
from penstock.project import kept
from penstock.project.on_import import Execute, wrap_execution
from penstock.project.user_code import is_of_others
from penstock.safety.private import open_private_folder, user_cache

_AUTOGRAPH = "tensorflow.python.autograph"
_CONVERTS = f"{_AUTOGRAPH}.impl.api"
# What writes and reads the sources, beside TensorFlow.
_REWRITES = ("gast", "astunparse")


def keep() -> None:
    """Have what AutoGraph makes in this process and its forks be kept, and found again."""
    converts = sys.modules.get(_CONVERTS)
    if converts is None:
        wrap_execution(_CONVERTS, _execute_and_keep)
    else:
        _keep_of(converts)


def _execute_and_keep(execute: Execute, module: ModuleType) -> None:
    execute(module)
    _keep_of(module)


def _keep_of(converts: ModuleType) -> None:
    transpiler = getattr(converts, "_TRANSPILER", None)
    cache = getattr(transpiler, "_cache", None)
    # Another TensorFlow may have neither, and converts as ever.
    if transpiler is not None and cache is not None and not isinstance(cache, _Conversions):
        transpiler._cache = _Conversions(cache, transpiler)


class _Conversions:
    """AutoGraph's cache of converted functions, which finds those that were kept.

    It has what AutoGraph asks of a cache: `has`, and a mapping for each function from options to
    what makes its conversion.
    """

    def __init__(self, cache: Any, transpiler: Any) -> None:
        self.cache, self.transpiler = cache, transpiler

    def has(self, function: Any, options: Any) -> bool:
        """Whether a function has been converted, here or in an earlier process."""
        if self.cache.has(function, options):
            return True
        place = _place(function, options)
        found = place and _restored(place, function.__code__.co_freevars, self.transpiler)
        if not found:
            return False
        self.cache[function][options] = found
        return True

    def __getitem__(self, function: Any) -> _OfFunction:
        return _OfFunction(function, self.cache[function])

    def __len__(self) -> int:
        return len(self.cache)


@dataclass(frozen=True)
class _OfFunction:
    """What was made of one function, by options; what is added is kept."""

    function: Any
    made: dict[Any, Any]

    def __getitem__(self, options: Any) -> Any:
        return self.made[options]

    def __setitem__(self, options: Any, factory: Any) -> None:
        self.made[options] = factory
        place = _place(self.function, options)
        if place:
            kept.write(place.path, place.checksum, json.dumps(_described(factory)).encode())


@dataclass(frozen=True)
class _Place:
    """Where a conversion is kept, and what it has to begin with."""

    path: str
    checksum: str


def _place(function: Any, options: Any) -> _Place | None:
    """Return where a function's conversion is kept, None where none is: of a user's, for one."""
    code = getattr(function, "__code__", None)
    if not isinstance(code, CodeType) or not _is_kept_of(code.co_filename) or _is_watched():
        return None
    folder = _folder()
    if folder is None:
        return None
    try:
        checksum = kept.checksum(_identity(code, options), _makers(code.co_filename))
        os.close(open_private_folder(folder))
    except (OSError, StorageError):
        return None
    return _Place(os.path.join(folder, f"{checksum}.json"), checksum)


def _identity(code: CodeType, options: Any) -> bytes:
    recursive, requested, of_user, features = options.as_tuple()
    constants = [constant for constant in code.co_consts if not isinstance(constant, CodeType)]
    return repr(
        (
            (code.co_filename, code.co_firstlineno, code.co_name, code.co_code, constants),
            (code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars),
            (recursive, requested, of_user, sorted(feature.name for feature in features)),
        )
    ).encode()


@functools.cache
def _is_kept_of(path: str) -> bool:
    return is_of_others(path) and os.path.isfile(path)


def _is_watched() -> bool:
    """Whether somebody wants to see AutoGraph at work."""
    return bool(importlib.import_module(f"{_AUTOGRAPH}.utils.ag_logging").has_verbosity(1))


@functools.cache
def _makers(path: str) -> tuple[str, ...]:
    """Return what a conversion hangs on beside a function's code, of one source file."""
    tensorflow = sys.modules["tensorflow"].__version__
    others = (f"{name} {importlib.metadata.version(name)}" for name in _REWRITES)
    sources = (hashlib.sha256(Path(each).read_bytes()).hexdigest() for each in (path, __file__))
    return (f"tensorflow {tensorflow}", *others, *sources)


def _folder() -> str | None:
    cache = user_cache({**os.environ, "HOME": os.path.expanduser("~")})
    return cache and os.path.join(cache, "penstock", "autograph")


def _described(factory: Any) -> dict[str, Any]:
    """Return what makes conversions of a function, as JSON has it."""
    generated = factory.module.__file__
    return {
        "name": factory._name,
        "source": Path(generated).read_text(encoding="utf-8"),
        "factory": factory._unbound_factory.__qualname__.partition(".")[0],
        "lines": [
            [line.lineno, list(origin.loc), origin.function_name, *origin[2:]]
            for line, origin in factory.source_map.items()
            if line.filename == generated
        ],
    }


def _restored(place: _Place, free: tuple[str, ...], transpiler: Any) -> Any:
    """Return what makes conversions of a function as it was kept, None where it was not."""
    content = kept.read(place.path, place.checksum)
    if content is None:
        return None
    try:
        return _made(json.loads(content), free, transpiler)
    except Exception:
        # Whatever is wrong with it: TensorFlow converts the function, and it is written anew.
        return None


def _made(described: Mapping[str, Any], free: tuple[str, ...], transpiler: Any) -> Any:
    loader = importlib.import_module(f"{_AUTOGRAPH}.pyct.loader")
    origins = importlib.import_module(f"{_AUTOGRAPH}.pyct.origin_info")
    makes = importlib.import_module(f"{_AUTOGRAPH}.pyct.transpiler")
    module, path = loader.load_source(described["source"], delete_on_exit=True)
    factory = makes._PythonFnFactory(described["name"], free, transpiler.get_extra_locals())
    make: FunctionType = getattr(module, described["factory"])
    factory._unbound_factory = make()
    factory.module = module
    factory.source_map = {
        origins.LineLocation(path, line): origins.OriginInfo(origins.Location(*where), *origin)
        for line, where, *origin in described["lines"]
    }
    return factory
