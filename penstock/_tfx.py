"""The only door to TFX's core.

TFX's core guards its uses of TensorFlow and of its own component library with
`except ImportError`, because it also ships without them. While it is first imported here, both
are hidden, so that it loads in a third of a second instead of most of a minute. In a process that
has TensorFlow already nothing is hidden: there is nothing left to save.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

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


with _without_heavy_modules():
    import ml_metadata
    from ml_metadata.proto import metadata_store_pb2
    from tfx import types
    from tfx.dsl.compiler.compiler import Compiler
    from tfx.dsl.components.base.base_beam_component import BaseBeamComponent
    from tfx.dsl.components.base.base_driver import BaseDriver as AuthoringDriver
    from tfx.dsl.components.base.base_component import BaseComponent
    from tfx.dsl.components.base.base_executor import BaseExecutor
    from tfx.dsl.components.base.base_node import BaseNode
    from tfx.dsl.components.base.executor_spec import BeamExecutorSpec, ExecutorClassSpec
    from tfx.dsl.components.common.importer import Importer
    from tfx.dsl.components.common.resolver import Resolver, ResolverStrategy
    from tfx.dsl.input_resolution.strategies.latest_artifact_strategy import (
        LatestArtifactStrategy,
    )
    from tfx.dsl.input_resolution.strategies.latest_blessed_model_strategy import (
        LatestBlessedModelStrategy,
    )
    from tfx.dsl.placeholder.placeholder import Placeholder
    from tfx.dsl.context_managers.dsl_context_registry import new_registry as new_node_registry
    from tfx.orchestration import metadata
    from tfx.orchestration.local import runner_utils
    from tfx.orchestration.data_types import RuntimeParameter
    from tfx.orchestration.pipeline import Pipeline
    from tfx.orchestration.pipeline import (
        enumerate_implicit_dependencies as enumerate_dependencies,
    )
    from tfx.orchestration.portable import inputs_utils, outputs_utils, runtime_parameter_utils
    from tfx.orchestration.portable.base_driver import BaseDriver
    from tfx.proto.orchestration import (
        driver_output_pb2,
        executable_spec_pb2,
        execution_result_pb2,
        pipeline_pb2,
    )
    from tfx.types import artifact, channel, standard_artifacts, system_executions, value_artifact
    from tfx.types.channel_utils import union
    from tfx.types.component_spec import ChannelParameter, ComponentSpec, ExecutionParameter
    from tfx.utils.topsort import InvalidDAGError

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
    "InvalidDAGError",
    "LatestArtifactStrategy",
    "LatestBlessedModelStrategy",
    "Pipeline",
    "Placeholder",
    "Resolver",
    "ResolverStrategy",
    "RuntimeParameter",
    "artifact",
    "channel",
    "driver_output_pb2",
    "enumerate_dependencies",
    "executable_spec_pb2",
    "execution_result_pb2",
    "inputs_utils",
    "metadata",
    "metadata_store_pb2",
    "ml_metadata",
    "new_node_registry",
    "outputs_utils",
    "pipeline_pb2",
    "runner_utils",
    "runtime_parameter_utils",
    "standard_artifacts",
    "system_executions",
    "types",
    "union",
    "value_artifact",
]
