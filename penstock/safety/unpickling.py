"""What artifacts hold is data: the libraries that would unpickle it get data or an error.

Some artifacts have pickles in them, which can run any code when they are loaded:
tf.Transform's analyzer cache, the Python functions of its graphs, and old evaluation results of
TFMA. `guard` gives those modules an unpickler that makes numbers, texts, containers, arrays and
sketches, and nothing else.
"""

from __future__ import annotations

import hashlib
import importlib.abc
import importlib.machinery
import io
import pickle
import sys
from collections.abc import Sequence
from types import ModuleType, SimpleNamespace
from typing import Any

from penstock.errors import DataError

# The modules that unpickle artifacts, and the name by which each calls its unpickler.
GUARDED = {
    "tensorflow_model_analysis.writers.eval_config_writer": "pickle",
    "tensorflow_transform.analyzers": "pickle",
    "tensorflow_transform.beam.analyzer_cache": "pickle",
    "tensorflow_transform.py_func.pyfunc_helper": "dill",
}

_DATA = {
    ("_codecs", "encode"),
    ("numpy", "dtype"),
    ("numpy", "ndarray"),
    ("numpy._core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "scalar"),
    ("numpy.core.multiarray", "_reconstruct"),
    ("numpy.core.multiarray", "scalar"),
    ("tfx_bsl.cc.tfx_bsl_extension.sketches", "KmvSketch"),
    ("tfx_bsl.cc.tfx_bsl_extension.sketches", "MisraGriesSketch"),
    ("tfx_bsl.cc.tfx_bsl_extension.sketches", "QuantilesSketch"),
    *(("builtins", kind) for kind in ("bytearray", "complex", "frozenset", "set")),
}


class _DataUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        """Return a class that holds data; import nothing else."""
        if (module, name) not in _DATA:
            raise DataError(
                f"an artifact asks to load {module}.{name}, which is no data: it is not loaded",
                hint="Artifacts hold data, not code. Who made this one?",
            )
        return super().find_class(module, name)


def loads(content: bytes, *, path: str | None = None) -> Any:
    """Return the data in a pickle.

    Raises:
      DataError: there is more than data in it, or it is broken.
    """
    try:
        return _DataUnpickler(io.BytesIO(content)).load()
    except DataError as error:
        error.path = path
        raise
    except Exception as error:  # a broken pickle raises anything
        raise DataError(f"expected a pickle of data: {error}", path=path) from error


def guard() -> None:
    """Give the modules that unpickle artifacts the careful unpickler, loaded already or not."""
    for name in GUARDED:
        if name in sys.modules:
            _replace_unpickler(sys.modules[name])
    if not any(isinstance(finder, _Guard) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Guard())


class _Guard(importlib.abc.MetaPathFinder):
    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Find the guarded modules where they are, and replace their unpickler once loaded."""
        if fullname not in GUARDED:
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, path, target)
        if spec is None or spec.loader is None:
            return spec
        execute = spec.loader.exec_module

        def exec_module(module: ModuleType) -> None:
            execute(module)
            _replace_unpickler(module)

        spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec


def _replace_unpickler(module: ModuleType) -> None:
    name = GUARDED[module.__name__]
    original = vars(module)[name]
    if isinstance(original, SimpleNamespace):
        return
    replacement = SimpleNamespace(dumps=original.dumps, loads=loads)
    if name == "dill":
        replacement = _own_functions_only(original)
    setattr(module, name, replacement)


def _own_functions_only(dill: Any) -> SimpleNamespace:
    """Return a `dill` that loads only what this process has dumped itself."""
    dumped: set[bytes] = set()

    def dumps(value: Any) -> bytes:
        content: bytes = dill.dumps(value)
        dumped.add(hashlib.sha256(content).digest())
        return content

    def load_own(content: bytes) -> Any:
        if hashlib.sha256(content).digest() not in dumped:
            raise DataError(
                "a transform graph holds a pickled Python function, which is not loaded",
                hint="Write the preprocessing with TensorFlow's operations, without apply_pyfunc.",
            )
        return dill.loads(content)

    return SimpleNamespace(dumps=dumps, loads=load_own)
