"""The only door to TFX's core.

TFX's core guards its uses of TensorFlow and of its own component library with
`except ImportError`, because it also ships without them. While it is first imported here, both
are hidden, so that it loads in a third of a second instead of most of a minute. In a process that
has TensorFlow already nothing is hidden: there is nothing left to save.
"""

from __future__ import annotations

import importlib
import json
import logging
import os
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import ModuleType
from typing import Any

from google.protobuf.message import Message

from penstock.errors import DataError

_HIDDEN = ("tensorflow", "tfx.components")


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


def import_library_module(name: str) -> ModuleType:
    """Import a module below `tfx.components` without what that package imports by itself.

    Those are all of TFX's components, which takes longer than the module. The package can be
    imported later, and then has this same module.
    """
    if name in sys.modules or "tfx.components" in sys.modules:
        return importlib.import_module(name)
    import tfx

    bare = ModuleType("tfx.components")
    bare.__path__ = [os.path.join(path, "components") for path in tfx.__path__]
    sys.modules[bare.__name__] = bare
    try:
        return importlib.import_module(name)
    finally:
        del sys.modules[bare.__name__]


# The part of ML Metadata that is not Python writes into the standard error output what it then
# reports as an error as well; so does gRPC.
os.environ.setdefault("GLOG_minloglevel", "3")
os.environ.setdefault("GRPC_VERBOSITY", "NONE")

with _without_heavy_modules():
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
    from tfx.dsl.context_managers.dsl_context_registry import get as node_registry
    from tfx.dsl.context_managers.dsl_context_registry import new_registry as new_node_registry
    from tfx.dsl.experimental.conditionals.conditional import get_predicates
    from tfx.dsl.experimental.node_execution_options.utils import NodeExecutionOptions
    from tfx.dsl.input_resolution.strategies.latest_artifact_strategy import (
        LatestArtifactStrategy,
    )
    from tfx.dsl.input_resolution.strategies.latest_blessed_model_strategy import (
        LatestBlessedModelStrategy,
    )
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


# TFX warns of predicates for every input of every node, whether or not anybody asked for one.
# ML Metadata logs its connection settings, password included, and errors that it raises too.
_UNWANTED = ("property_predicate is not supported", "ConnectionConfig: ", "mlmd client ")


def _says_something(record: logging.LogRecord) -> bool:
    return not any(text in str(record.msg) for text in _UNWANTED)


class _ValueDecoder(json_utils._DefaultDecoder):
    """Decodes TFX's JSON without importing what it names.

    Objects are made of classes that the pipeline's own code has imported.
    """

    def _dict_to_object(self, dict_data: dict[str, Any]) -> Any:
        if json_utils._TFX_OBJECT_TYPE_KEY in dict_data:
            module = dict_data.get(json_utils._MODULE_KEY)
            name = dict_data.get(json_utils._CLASS_KEY)
            found = getattr(sys.modules.get(str(module)), str(name), None)
            if not _is_value_class(found):
                raise DataError(
                    f"a value artifact asks for {module}.{name}, which the pipeline's own code "
                    "has not imported as a class of values: it is not loaded",
                    hint="Import the class where the component that reads it is defined, or "
                    "return plain JSON.",
                )
        return super()._dict_to_object(dict_data)


def _is_value_class(found: Any) -> bool:
    if not isinstance(found, type):
        return False
    if issubclass(found, Message):
        return True
    # Some of TFX's own classes import what their content names.
    reads = getattr(found, "from_json_dict", None)
    home = getattr(reads, "__module__", "")
    return issubclass(found, json_utils.Jsonable) and (
        home == json_utils.__name__ or not home.startswith("tfx.")
    )


def _decode_value(artifact: Any, serialized: bytes | str) -> Any:
    try:
        return json.loads(serialized, cls=_ValueDecoder)
    except DataError as error:
        error.path = artifact.uri
        raise


standard_artifacts.JsonValue.decode = _decode_value

# It only asks whether TFX's components are installed, and imports setuptools to know.
if "__init__" in vars(standard_artifacts._TfxArtifact):
    del standard_artifacts._TfxArtifact.__init__


_resolve_single_channel = channel_resolver.resolve_single_channel


def _executions_by_all_contexts(store: Any, contexts: Sequence[Any]) -> list[Any]:
    """Ask the store for what lies in all contexts; TFX reads all that any of them ever had."""
    if not contexts:
        return []
    conditions = [f"contexts_{index}.id = {c.id}" for index, c in enumerate(contexts)]
    options = ml_metadata.ListOptions(filter_query=" AND ".join(conditions))
    return list(store.get_executions(list_options=options))


def _resolve_channel(handle_like: Any, channel: Any) -> list[Any]:
    """Resolve a channel; one that says no more than a pipeline and a type from its artifacts.

    TFX reads all executions that the pipeline ever had to find what they put out.
    """
    kinds = [query.type.name for query in channel.context_queries]
    type_name = channel.artifact_query.type.name
    if kinds != ["pipeline"] or channel.output_key or not type_name:
        return list(_resolve_single_channel(handle_like, channel))
    store = channel_resolver.mlmd_cm.get_handle(handle_like).store
    name = channel.context_queries[0].name.field_value.string_value
    context = store.get_context_by_type_and_name("pipeline", name)
    if context is None:
        return []
    options = ml_metadata.ListOptions(filter_query=f"type = '{type_name}' AND state = LIVE")
    found = store.get_artifacts_by_context(context.id, list_options=options)
    if not found:
        return []
    artifact_type = store.get_artifact_type(type_name)
    return list(artifact_utils.deserialize_artifacts(artifact_type, found))


channel_resolver._get_executions_by_all_contexts = _executions_by_all_contexts
channel_resolver.resolve_single_channel = _resolve_channel

logging.getLogger("absl").addFilter(_says_something)

__all__ = [
    "AuthoringDriver",
    "BaseBeamComponent",
    "BaseComponent",
    "BaseDriver",
    "BaseExecutor",
    "BaseNode",
    "BeamExecutorSpec",
    "ChannelParameter",
    "Compiler",
    "ComponentSpec",
    "ExecutionParameter",
    "ExecutorClassSpec",
    "Importer",
    "ImporterNodeHandler",
    "InputResolutionError",
    "InvalidDAGError",
    "LatestArtifactStrategy",
    "LatestBlessedModelStrategy",
    "NodeExecutionOptions",
    "Pipeline",
    "Placeholder",
    "Resolver",
    "ResolverNodeHandler",
    "ResolverStrategy",
    "RuntimeParameter",
    "artifact",
    "artifact_utils",
    "channel",
    "context_lib",
    "data_types",
    "data_types_utils",
    "driver_output_pb2",
    "enumerate_dependencies",
    "executable_spec_pb2",
    "execution_invocation_pb2",
    "execution_lib",
    "execution_publish_utils",
    "execution_result_pb2",
    "generate_output_dict",
    "get_predicates",
    "import_class_by_path",
    "import_library_module",
    "inputs_utils",
    "metadata",
    "metadata_store_pb2",
    "metadata_store_service_pb2",
    "ml_metadata",
    "new_node_registry",
    "node_registry",
    "outputs_utils",
    "pipeline_pb2",
    "placeholder_pb2",
    "placeholder_utils",
    "run_with_executor",
    "runtime_parameter_utils",
    "standard_artifacts",
    "system_executions",
    "types",
    "union",
    "value_artifact",
]
