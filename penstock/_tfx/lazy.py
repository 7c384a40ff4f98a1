"""TFX's components without TensorFlow, for as long as a pipeline is only being defined.

Of what `from tfx import v1` imports, a definition takes names of classes, and messages: what needs
TensorFlow are executors, some functions beside them, and the packages of TFMA and TFDV. Behind this
door these are modules that are executed at their first use. What stands for an executor's class
until then has its name, by which TFX records it, and is the class itself wherever it is called,
derived from, compared, or asked for anything else.

Whatever imports TensorFlow shuts the door: there is nothing left to save, and what was not executed
yet is at its next use.
"""

from __future__ import annotations

import abc
import ast
import copyreg
import importlib
import importlib.abc
import importlib.util
import os
import re
import sys
import types
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import ModuleType
from typing import Any

from penstock._tfx import core, gfile

# Where it is set to anything, everything is imported as it is without us.
EAGER_VARIABLE = "PENSTOCK_EAGER_IMPORTS"

_TFX_PACKAGES = re.compile(r"tfx\.(v1|components|extensions)(\.|$)")
_EXECUTED_WHEN_USED = re.compile(
    r"tfx\.(components|extensions)\..*executor"
    r"|tfx\.dsl\.components\.base\.base_beam_executor"
    r"|tfx\.components\.example_gen\.utils"
    r"|tfx\.components\.trainer\.fn_args_utils"
)
# Nor do modules that these import need TensorFlow.
_NEED_MESSAGES_ALONE = ("tfx.components.example_gen.utils",)
_STATE, _MADE = "_penstock_lazily", "_penstock_stands_in"
_ASKED_OF_MODULES = ("__all__", "__version__")  # and nothing else of such a name that can be absent


@dataclass(frozen=True)
class _Library:
    """A package of which a definition takes little.

    `light` are those of its modules that need nothing of it, `names_of` is one of them whose names
    are the package's, and `classes` are classes of it that stand in annotations.
    """

    light: tuple[str, ...]
    names_of: str = ""
    classes: tuple[str, ...] = ()


_LIBRARIES: Mapping[str, _Library] = {
    "tensorflow_model_analysis": _Library(("sdk", "constants", "proto", "version"), "sdk"),
    "tensorflow_data_validation": _Library(("anomalies",), classes=("StatsOptions",)),
}


@dataclass
class _Lazily:
    """What a module has before it is executed, by name.

    `names` are taken from other modules, `classes` have stand-ins, with whether they are executors,
    `modules` are below it, and `all_of` is a module all of whose names it has. A package of TFX's
    has the modules below it, which its execution would import.
    """

    loader: importlib.abc.Loader
    names: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    classes: Mapping[str, bool] = field(default_factory=dict)
    modules: tuple[str, ...] = ()
    all_of: str = ""
    public: tuple[str, ...] = ()
    is_package: bool = False
    needs_messages_alone: bool = False
    made: dict[str, type] = field(default_factory=dict)


def open_door() -> None:
    """Have TFX's components be imported without TensorFlow from now on, where it is not there yet.

    The variable PENSTOCK_EAGER_IMPORTS keeps it shut.
    """
    known = {"tensorflow", "tfx.v1", "tfx.components", *_LIBRARIES} & set(sys.modules)
    if os.environ.get(EAGER_VARIABLE) or known or _Finder in sys.meta_path:
        return
    sys.meta_path.insert(0, _Finder)


def is_open() -> bool:
    """Whether what is imported now is executed when it is used."""
    return _Finder in sys.meta_path


def has_unexecuted() -> bool:
    """Whether this process has modules that would be executed at their first use."""
    return any(isinstance(module, _LazyModule) for module in list(sys.modules.values()))


class _Finder:
    """Finds modules as Python does, and puts off their execution."""

    @staticmethod
    def find_spec(
        name: str, path: Sequence[str] | None = None, *_target: object
    ) -> ModuleSpec | None:
        """Return the spec of a lazy module, or None for one that others shall find."""
        if name == "tensorflow":
            return _shuts_the_door(PathFinder.find_spec(name, path))
        library, _, within = name.partition(".")
        if within and library in _LIBRARIES:
            # Its other modules may ask the package for what it defines.
            if within.partition(".")[0] not in _LIBRARIES[library].light:
                _execute(sys.modules[library])
            return None
        known = _TFX_PACKAGES.match(name) or _EXECUTED_WHEN_USED.fullmatch(name)
        spec = PathFinder.find_spec(name, path) if known or name in _LIBRARIES else None
        if spec is None or not isinstance(spec.loader, SourceFileLoader):
            return None
        lazily = _lazily(name, spec, spec.loader)
        if lazily is None:
            return None
        spec.loader = _Loader(lazily)
        return spec


def _shuts_the_door(spec: ModuleSpec | None) -> ModuleSpec | None:
    """Have all be imported as it is without us from the execution of a module on."""
    if spec is None or spec.loader is None:
        return spec
    execute = spec.loader.exec_module

    def exec_module(module: ModuleType) -> None:
        if _Finder in sys.meta_path:
            sys.meta_path.remove(_Finder)
        execute(module)

    spec.loader.exec_module = exec_module  # type: ignore[method-assign]
    return spec


def _lazily(name: str, spec: ModuleSpec, loader: SourceFileLoader) -> _Lazily | None:
    """Return what a module has before its execution, or None if that is not to be put off."""
    if name in _LIBRARIES:
        library = _LIBRARIES[name]
        classes = dict.fromkeys(library.classes, False)
        return _Lazily(loader, classes=classes, modules=library.light, all_of=library.names_of)
    is_package = spec.submodule_search_locations is not None
    if not is_package and not _EXECUTED_WHEN_USED.fullmatch(name):
        return None
    statements = ast.parse(loader.get_data(loader.path)).body
    if is_package:
        return _of_names_alone(loader, statements)
    return _Lazily(
        loader,
        classes={s.name: _is_executor(s) for s in statements if isinstance(s, ast.ClassDef)},
        needs_messages_alone=name in _NEED_MESSAGES_ALONE and _takes_messages_alone(statements),
    )


def _takes_messages_alone(statements: Iterable[ast.stmt]) -> bool:
    """Whether all that a module imports of TensorFlow by itself are messages."""
    named: list[str] = []
    for node in ast.walk(ast.Module(list(statements), [])):
        if isinstance(node, ast.Import):
            named += (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            named.append(node.module or "")
    of_tensorflow = [name for name in named if name.partition(".")[0] == "tensorflow"]
    return all(name.startswith("tensorflow.core.") for name in of_tensorflow)


def _of_names_alone(loader: SourceFileLoader, statements: Iterable[ast.stmt]) -> _Lazily | None:
    """Return what a package has that takes names from modules and does nothing else."""
    names: dict[str, tuple[str, str]] = {}
    public: tuple[str, ...] = ()
    for statement in statements:
        if isinstance(statement, ast.ImportFrom) and statement.module and not statement.level:
            for alias in statement.names:
                names[alias.asname or alias.name] = (statement.module, alias.name)
        elif isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == "__all__":
            public = tuple(ast.literal_eval(statement.value))
        elif not (isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)):
            return None
    if "*" in names:
        return None
    return _Lazily(loader, names, public=public, is_package=True)


def _is_executor(definition: ast.ClassDef) -> bool:
    return any(ast.unparse(base).endswith("Executor") for base in definition.bases)


class _Loader(importlib.abc.Loader):
    """Makes lazy modules."""

    def __init__(self, lazily: _Lazily) -> None:
        self.lazily = lazily

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """Return a module that is executed when it is used."""
        return _LazyModule(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """Put it off."""
        module.__dict__[_STATE] = self.lazily
        if self.lazily.public:
            module.__dict__["__all__"] = list(self.lazily.public)


class _LazyModule(ModuleType):
    """A module that has not been executed: it becomes a plain one when it is."""

    def __getattr__(self, name: str) -> Any:
        lazily = self.__dict__.get(_STATE)
        dunder = name.startswith("__") and name.endswith("__") and name not in _ASKED_OF_MODULES
        if lazily is None or dunder:
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        if name in lazily.names:
            found = _named(self.__name__, *lazily.names[name])
            self.__dict__[name] = found
            return found
        if lazily.is_package and importlib.util.find_spec(f"{self.__name__}.{name}"):
            return importlib.import_module(f"{self.__name__}.{name}")
        if is_open():
            if name in lazily.classes:
                return _stand_in(self, lazily, name)
            if name in lazily.modules:
                return importlib.import_module(f"{self.__name__}.{name}")
            if lazily.all_of and not name.startswith("_"):
                provider = importlib.import_module(f"{self.__name__}.{lazily.all_of}")
                if name in vars(provider):
                    return vars(provider)[name]
        _execute(self)
        return getattr(self, name)

    def __setattr__(self, name: str, value: object) -> None:
        # What the import system sets are modules below it; somebody else changes what it has.
        if not isinstance(value, ModuleType) and not name.startswith("__"):
            _execute(self)
        ModuleType.__setattr__(self, name, value)

    def __dir__(self) -> Iterable[str]:
        lazily = self.__dict__.get(_STATE)
        if lazily is not None and lazily.names:
            return sorted({*self.__dict__, *lazily.names} - {_STATE})
        _execute(self)
        return dir(self)


def _named(package: str, module: str, name: str) -> Any:
    """Return what `from module import name` gives in a package."""
    if module != package:
        home = importlib.import_module(module)
        if hasattr(home, name):
            return getattr(home, name)
    return importlib.import_module(f"{module}.{name}")


def _execute(module: ModuleType) -> None:
    """Execute a module, unless that has been done."""
    lazily: _Lazily | None = module.__dict__.pop(_STATE, None)
    if lazily is None:
        return
    spec = module.__spec__
    assert spec is not None
    postponed = spec.loader
    module.__class__ = ModuleType
    spec.loader = module.__loader__ = lazily.loader
    try:
        with _without_tensorflow() if lazily.needs_messages_alone else nullcontext():
            lazily.loader.exec_module(module)
    except BaseException:
        module.__class__ = _LazyModule
        module.__dict__[_STATE] = lazily
        spec.loader = module.__loader__ = postponed
        raise
    gfile.complete()


@contextmanager
def _without_tensorflow() -> Iterator[None]:
    """Keep TensorFlow from being executed for a module that needs nothing of it but messages."""
    if not is_open():
        yield
        return
    sys.meta_path.remove(_Finder)  # it would take TensorFlow for imported
    try:
        with core.bare_package("tensorflow"):
            yield
    finally:
        sys.meta_path.insert(0, _Finder)


class _StandIn(abc.ABCMeta):
    """What stands for a class of a module that has not been executed."""

    def __new__(
        cls, name: str, bases: tuple[type, ...], namespace: dict[str, Any], **keywords: Any
    ) -> Any:
        """Return a stand-in, or of one as a base a class that is derived from the real one."""
        if not any(isinstance(base, _StandIn) for base in bases):
            return super().__new__(cls, name, bases, namespace, **keywords)
        real = tuple(map(_real, bases))
        return types.new_class(name, real, keywords, lambda made: made.update(namespace))

    def __call__(cls, *arguments: Any, **keywords: Any) -> Any:
        return _real(cls)(*arguments, **keywords)

    def __getattribute__(cls, name: str) -> Any:
        made = _MADE in super().__getattribute__("__dict__")
        if not made or name.startswith("_abc_") or (name.startswith("__") and name != "__doc__"):
            return super().__getattribute__(name)
        return getattr(_real(cls), name)

    def __setattr__(cls, name: str, value: object) -> None:
        if _MADE in cls.__dict__:
            setattr(_real(cls), name, value)
        else:
            super().__setattr__(name, value)

    def __dir__(cls) -> Iterable[str]:
        return dir(_real(cls))

    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, _real(cls))

    def __subclasscheck__(cls, subclass: type) -> bool:
        return cls is subclass or issubclass(_real(subclass), _real(cls))

    def __eq__(cls, other: object) -> bool:
        return isinstance(other, type) and _path(cls) == _path(other)

    def __hash__(cls) -> int:
        return hash(_path(cls))


def _path(kind: type) -> tuple[str, str]:
    return kind.__module__, kind.__qualname__


def _stand_in(module: ModuleType, lazily: _Lazily, name: str) -> type:
    if name not in lazily.made:
        bases = (core.BaseExecutor,) if lazily.classes[name] else ()
        made = _StandIn(name, bases, {"__module__": module.__name__})
        setattr(made, _MADE, True)  # from now on its attributes are the real class's
        lazily.made[name] = made
    return lazily.made[name]


def _real(kind: type) -> type:
    """Return the class that a stand-in stands for."""
    if not isinstance(kind, _StandIn):
        return kind
    module, name = _path(kind)
    return _class_at(module, name)


def _class_at(module_name: str, name: str) -> Any:
    module = importlib.import_module(module_name)
    _execute(module)
    return getattr(module, name)


# Pickles have the class itself.
copyreg.pickle(_StandIn, lambda kind: (_class_at, _path(kind)))
