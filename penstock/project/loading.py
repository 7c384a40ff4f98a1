"""Finding the pipeline that a name means: a registered one, or that of a file or a module."""

from __future__ import annotations

import importlib
import inspect
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

from penstock.errors import ConfigError, PenstockError, suggestion
from penstock.project import keras, user_code


def load(name: str, registered: Mapping[str, str], folder: Path, config_path: Path | None) -> Any:
    """Return the pipeline of that name among the registered ones, or at that place.

    A place is `file.py:attribute` or `module:attribute`; without an attribute it is the file's or
    module's only pipeline, or its function `create_pipeline`. A plain function that returns a
    pipeline is called, if it needs no arguments. Relative paths count from `folder`.

    Raises:
      ConfigError: there is no such pipeline.
      UserCodeError: its module does not import, or its function raises.
    """
    place = registered.get(name, name)
    if name not in registered and not is_place(place, folder):
        raise ConfigError(
            f"there is no pipeline {name!r}",
            path=str(config_path) if config_path else None,
            hint=suggestion(name, registered, noun="pipeline"),
        )
    location, _, attribute = place.rpartition(":") if ":" in place else (place, "", "")
    with _without_tensorflow():
        module = _import(location, name, folder)
        found = _member(module, location, attribute, name) if attribute else _only(module, name)
        return _called(found, name) if isinstance(found, FunctionType) else found


@contextmanager
def _without_tensorflow() -> Iterator[None]:
    """Have what is defined need no TensorFlow, and what does need it be as under TFX.

    What has not been executed yet stays so until it is used.
    """
    from penstock._tfx import gfile, lazy

    lazy.open_door()
    gfile.stand_in()
    keras.settle_before_transform(after=("tfx.v1", "tfx.components."))
    try:
        yield
    finally:
        gfile.complete()


def is_place(text: str, folder: Path) -> bool:
    """Whether a text says where a pipeline is, and is not the name of a registered one."""
    if ":" in text or text.endswith(".py"):
        return True
    path = folder / text.replace(".", os.sep)
    return path.with_name(f"{path.name}.py").is_file() or (path / "__init__.py").is_file()


def _member(module: ModuleType, location: str, attribute: str, name: str) -> Any:
    found = getattr(module, attribute, None)
    if found is None:
        candidates = [key for key in vars(module) if not key.startswith("_")]
        raise ConfigError(
            f"pipeline {name!r}: {location} has no {attribute!r}",
            hint=suggestion(attribute, candidates),
        )
    return found


def _only(module: ModuleType, name: str) -> Any:
    """Return the one pipeline of a module, or else its one function that makes one."""
    members = {key: value for key, value in vars(module).items() if not key.startswith("_")}
    pipelines = {key: value for key, value in members.items() if is_pipeline(value)}
    if not pipelines:
        pipelines = {
            key: value
            for key, value in members.items()
            if isinstance(value, FunctionType)
            and value.__module__ == module.__name__
            and key == "create_pipeline"
        }
    distinct = {id(value): value for value in pipelines.values()}
    if len(distinct) == 1:
        return next(iter(distinct.values()))
    if not distinct:
        raise ConfigError(
            f"{name} has no pipeline",
            path=module.__file__,
            hint="Decorate a function with @pipeline, or write a function create_pipeline() that "
            "returns a TFX Pipeline.",
        )
    raise ConfigError(
        f"{name} has {len(distinct)} pipelines: {', '.join(pipelines)}",
        path=module.__file__,
        hint=f"Say which: {name}:{next(iter(pipelines))}.",
    )


def is_pipeline(value: Any) -> bool:
    """Whether a value is a pipeline of ours or of TFX, without importing either."""
    return any(
        (kind.__module__, kind.__name__)
        in (
            ("penstock.authoring.pipeline", "PipelineDefinition"),
            ("tfx.orchestration.pipeline", "Pipeline"),
        )
        for kind in type(value).__mro__
    )


def _called(function: FunctionType, name: str) -> Any:
    """Return the pipeline that a plain function makes."""
    path = user_code.place_of(function)
    needed = [
        argument.name
        for argument in inspect.signature(function).parameters.values()
        if argument.default is argument.empty
        and argument.kind not in (argument.VAR_POSITIONAL, argument.VAR_KEYWORD)
    ]
    if needed:
        raise ConfigError(
            f"pipeline {name!r}: the function {function.__name__} needs {', '.join(needed)}",
            path=path,
            hint="Give its arguments defaults, write a function without any that calls it, or "
            "decorate it with @pipeline: then they are parameters of a run.",
        )
    returned = user_code.run(function)
    if is_pipeline(returned):
        return returned
    raise ConfigError(
        f"pipeline {name!r}: the function {function.__name__} returned "
        f"{'None' if returned is None else type(returned).__name__} where a pipeline is expected",
        path=path,
        hint="Decorate it with @pipeline if it returns nodes, or return a TFX Pipeline.",
    )


def _import(location: str, name: str, folder: Path) -> ModuleType:
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
    importlib.invalidate_caches()  # it may have been written since the folder was looked at
    try:
        if location.endswith(".py"):
            return _import_file(folder / location)
        return importlib.import_module(location)
    except FileNotFoundError as error:
        raise ConfigError(f"pipeline {name!r}: there is no file {error.filename}") from error
    except PenstockError:
        raise
    except Exception as error:
        if isinstance(error, ModuleNotFoundError) and error.name in (
            location,
            _parent(location),
        ):
            raise ConfigError(f"pipeline {name!r}: {location} does not import: {error}") from error
        path = str(folder / location) if location.endswith(".py") else None
        what = f"pipeline {name!r}: {location} does not import"
        raise user_code.user_code_error(what, error, path) from error


def _parent(module: str) -> str:
    return module.rpartition(".")[0]


def _import_file(path: Path) -> ModuleType:
    """Import a file under the name by which worker processes find it again."""
    path = path.resolve()
    if not path.exists():
        raise FileNotFoundError(2, "no such file", str(path))
    folder = path.parent
    parts = [path.stem]
    while (folder / "__init__.py").exists():
        parts.insert(0, folder.name)
        folder = folder.parent
    name = ".".join(parts)
    if sys.path[:1] != [str(folder)]:
        sys.path.insert(0, str(folder))
    loaded = sys.modules.get(name)
    of_another_project = loaded and os.path.realpath(_file_of(loaded)) != str(path)
    if of_another_project and name not in sys.stdlib_module_names:
        del sys.modules[name]
    return importlib.import_module(name)


def _file_of(module: ModuleType) -> str:
    """Return a module's file; a namespace package and what is built in have none."""
    return getattr(module, "__file__", None) or ""
