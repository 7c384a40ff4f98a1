"""The only door to TFX's core.

TFX's core guards its uses of TensorFlow and of its own component library with
`except ImportError`, because it also ships without them. While it is first imported here, both
are hidden, so that it loads in a third of a second instead of most of a minute. In a process that
has TensorFlow already nothing is hidden: there is nothing left to save. Where they are not
installed, hiding them changes nothing.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType, SimpleNamespace
from typing import Any

from penstock._tfx.remote_calls import grpc_later

_LIBRARY = "tfx.components"
_HIDDEN = ("tensorflow", _LIBRARY)
_GOOGLE, _TELEMETRY = "googleapiclient", "tfx.utils.telemetry_utils"


@contextmanager
def _without_heavy_modules() -> Iterator[None]:
    hidden = [name for name in _HIDDEN if name not in sys.modules]
    if "tensorflow" in sys.modules:
        hidden = []
    for name in hidden:
        sys.modules[name] = None  # type: ignore[assignment]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for name in hidden:
            if sys.modules.get(name, name) is None:
                del sys.modules[name]


@contextmanager
def _without_http_of_google() -> Iterator[None]:
    """Keep the client of Google's services from being imported for a decorator that does nothing.

    TFX's telemetry derives a class from one of that client's. Whoever imports telemetry afterwards
    gets it with the client.
    """
    known = {_GOOGLE, _TELEMETRY} & set(sys.modules)
    if known:
        yield
        return
    sys.modules[_GOOGLE] = ModuleType(_GOOGLE)
    vars(sys.modules[_GOOGLE])["http"] = SimpleNamespace(HttpRequest=object)
    try:
        yield
    finally:
        del sys.modules[_GOOGLE]
        if sys.modules.pop(_TELEMETRY, None) is not None:
            parent, _, within = _TELEMETRY.rpartition(".")
            delattr(sys.modules[parent], within)


def import_library_module(name: str) -> ModuleType:
    """Import a module below `tfx.components` without what that package imports by itself.

    Those are all of TFX's components, which takes longer than the module. They are imported when
    somebody asks the package for one of its names, or for the package here.
    """
    if _LIBRARY not in sys.modules and name != _LIBRARY:
        _put_off(_LIBRARY)
    module = importlib.import_module(name)
    if isinstance(module, _Postponed):
        _execute(module)
    return module


class _Postponed(ModuleType):
    """A package whose modules can be imported, and which is executed when a name of it is used."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name != "__all__":
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        # A module below it needs nothing else of it.
        if importlib.util.find_spec(f"{self.__name__}.{name}"):
            return importlib.import_module(f"{self.__name__}.{name}")
        _execute(self)
        return getattr(self, name)


def _put_off(name: str) -> None:
    """Import a package without executing it yet."""
    parent, _, within = name.rpartition(".")
    spec = importlib.util.find_spec(name)
    if spec is None:
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)
    package = importlib.util.module_from_spec(spec)
    package.__class__ = _Postponed
    sys.modules[name] = package
    setattr(sys.modules[parent], within, package)


def _execute(package: ModuleType) -> None:
    spec = package.__spec__
    assert spec is not None
    assert spec.loader is not None, "only modules without code have none"
    package.__class__ = ModuleType
    try:
        spec.loader.exec_module(package)
    except BaseException:
        package.__class__ = _Postponed
        raise


@contextmanager
def bare_package(name: str) -> Iterator[None]:
    """Have modules below a package be imported without it; it is not imported afterwards either."""
    spec = importlib.util.find_spec(name)
    if spec is None or spec.submodule_search_locations is None:
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)
    bare = ModuleType(name)
    bare.__path__ = list(spec.submodule_search_locations)
    sys.modules[name] = bare
    try:
        yield
    finally:
        del sys.modules[name]


# The part of ML Metadata that is not Python writes into the standard error output what it then
# reports as an error as well; so does gRPC.
os.environ.setdefault("GLOG_minloglevel", "3")
os.environ.setdefault("GRPC_VERBOSITY", "NONE")

with _without_heavy_modules(), _without_http_of_google(), grpc_later():
    import ml_metadata
    from ml_metadata.proto import metadata_store_pb2, metadata_store_service_pb2
    from tfx import types
    from tfx.dsl.compiler import placeholder_utils
    from tfx.dsl.compiler.compiler import Compiler
    from tfx.dsl.components.base.base_beam_component import BaseBeamComponent
    from tfx.dsl.components.base.base_component import BaseComponent
    from tfx.dsl.components.base.base_driver import BaseDriver as AuthoringDriver
    from tfx.dsl.components.base.base_executor import BaseExecutor
    from tfx.dsl.components.base.base_node import BaseNode
    from tfx.dsl.components.base.executor_spec import BeamExecutorSpec, ExecutorClassSpec
    from tfx.dsl.components.common.importer import Importer, generate_output_dict
    from tfx.dsl.components.common.resolver import Resolver, ResolverStrategy
    from tfx.dsl.context_managers.dsl_context import DslContext
    from tfx.dsl.context_managers.dsl_context_manager import DslContextManager
    from tfx.dsl.context_managers.dsl_context_registry import get as node_registry
    from tfx.dsl.context_managers.dsl_context_registry import new_registry as new_node_registry
    from tfx.dsl.experimental.conditionals.conditional import Cond, get_predicates
    from tfx.dsl.experimental.node_execution_options.utils import NodeExecutionOptions
    from tfx.dsl.input_resolution.strategies.latest_artifact_strategy import (
        LatestArtifactStrategy,
    )
    from tfx.dsl.input_resolution.strategies.latest_blessed_model_strategy import (
        LatestBlessedModelStrategy,
    )
    from tfx.dsl.placeholder import artifact_placeholder
    from tfx.dsl.placeholder.placeholder import Placeholder
    from tfx.orchestration import data_types_utils, metadata
    from tfx.orchestration.data_types import RuntimeParameter
    from tfx.orchestration.pipeline import Pipeline
    from tfx.orchestration.pipeline import (
        enumerate_implicit_dependencies as enumerate_dependencies,
    )
    from tfx.orchestration.portable import (
        data_types,
        execution_publish_utils,
        inputs_utils,
        outputs_utils,
        runtime_parameter_utils,
    )
    from tfx.orchestration.portable.base_driver import BaseDriver
    from tfx.orchestration.portable.importer_node_handler import ImporterNodeHandler
    from tfx.orchestration.portable.input_resolution import channel_resolver
    from tfx.orchestration.portable.input_resolution.exceptions import InputResolutionError
    from tfx.orchestration.portable.mlmd import context_lib, execution_lib
    from tfx.orchestration.portable.python_executor_operator import run_with_executor
    from tfx.orchestration.portable.resolver_node_handler import ResolverNodeHandler
    from tfx.proto.orchestration import (
        driver_output_pb2,
        executable_spec_pb2,
        execution_invocation_pb2,
        execution_result_pb2,
        pipeline_pb2,
        placeholder_pb2,
    )
    from tfx.types import (
        artifact,
        artifact_utils,
        channel,
        standard_artifacts,
        system_executions,
        value_artifact,
    )
    from tfx.types.channel_utils import union
    from tfx.types.component_spec import ChannelParameter, ComponentSpec, ExecutionParameter
    from tfx.utils import json_utils
    from tfx.utils.import_utils import import_class_by_path
    from tfx.utils.topsort import InvalidDAGError
