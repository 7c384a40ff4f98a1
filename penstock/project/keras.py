"""Which Keras the user's code has: in each process of ours the one that it would have under TFX.

`tf.keras` is decided when it is first asked for. tensorflow_transform asks as it is imported, after
it has set TF_USE_LEGACY_KERAS where nobody had: Keras 2. TFX's processes import TFMA before, which
asks too: Keras 3, unless the user has set the variable. There tensorflow_transform's setting comes
too late to count, but a new process would inherit it and begin with it.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import ModuleType

from penstock.project.on_import import Execute, wrap_execution

_VARIABLE = "TF_USE_LEGACY_KERAS"
_KERAS_2 = ("true", "True", "1")  # the values that TensorFlow takes for it
_SETS_IT = "tensorflow_transform"


@dataclass(frozen=True)
class _Settled:
    """Executes tensorflow_transform when Keras has been settled."""

    after: tuple[str, ...]

    def __call__(self, execute: Execute, module: ModuleType) -> None:
        if any(imported.startswith(self.after) for imported in list(sys.modules)):
            settle()
        execute(module)


def settle() -> None:
    """Have `tf.keras` be decided now, by what the user has set, as it is in TFX's processes."""
    _ = importlib.import_module("tensorflow").keras.__name__


def settle_before_transform(*, after: tuple[str, ...] = ("",)) -> None:
    """Have Keras be settled in this process and its forks whenever tensorflow_transform comes.

    It is where modules were imported whose names begin with one of `after`.
    """
    wrap_execution(_SETS_IT, _Settled(after))


def child_environment() -> dict[str, str]:
    """Return the environment for a new process: in it `tf.keras` is what it is in this one.

    Where nothing here has set the variable but the user, it is as they did.
    """
    environment = dict(os.environ)
    # Only then may the variable say something else than what was decided, and asking for Keras
    # decides nothing any more.
    if f"{_SETS_IT}.keras_lib" in sys.modules:
        if not hasattr(sys.modules["tensorflow"].keras, "version"):  # Keras 2 has none
            environment[_VARIABLE] = "1"
        elif environment.get(_VARIABLE) in _KERAS_2:
            del environment[_VARIABLE]
    return environment


@contextmanager
def as_for_children() -> Iterator[None]:
    """Have the process's own environment be the one for new ones, for those that inherit it."""
    before, meanwhile = os.environ.get(_VARIABLE), child_environment().get(_VARIABLE)
    _set(meanwhile)
    try:
        yield
    finally:
        _set(before)


def _set(value: str | None) -> None:
    if value is None:
        os.environ.pop(_VARIABLE, None)
    else:
        os.environ[_VARIABLE] = value
