"""From a pipeline to its IR, by TFX's own compiler and with what that has no words for."""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from penstock import _tfx
from penstock.authoring.for_each import compiled_by_penstock
from penstock.authoring.options import (
    cache_seconds_of,
    may_accelerate,
    pod_options,
    retries_of,
    uses_cache,
)
from penstock.authoring.pipeline import PipelineDefinition
from penstock.authoring.values import PARAMETER_KEY
from penstock.errors import PipelineError
from penstock.ir.checking import check
from penstock.ir.inlining import SEPARATOR, inline
from penstock.ir.loops import LoopSpec, write_loops
from penstock.ir.reading import deployment, runtime_parameters, values
from penstock.ir.unnesting import unnest
from penstock.ir.view import ACCELERATE_KEY, CACHE_SECONDS_KEY, LOOPS_KEY, POD_KEY, RETRIES_KEY
from penstock.project.tables import as_table
from penstock.project.user_code import place_of


def compile_pipeline(
    pipeline: Any,
    *,
    pipeline_root: str | None = None,
    metadata_connection_config: Any = None,
    beam_args: Iterable[str] = (),
) -> _tfx.PipelineProto:
    """Return the IR of a pipeline: one of ours, a TFX `Pipeline`, or IR already.

    Root, metadata store and Beam arguments are what a TFX pipeline has of its own where they are
    not given.

    Raises:
      PipelineError: it is no pipeline, or it does not hold together.
    """
    if isinstance(pipeline, _tfx.pipeline_pb2.Pipeline):
        copied = _tfx.pipeline_pb2.Pipeline()
        copied.CopyFrom(pipeline)
        inline(copied)
        check(copied)
        _add_options(copied, {node: _as_option(loops) for node, loops in unnest(copied).items()})
        return copied
    defined = None
    if isinstance(pipeline, PipelineDefinition):
        defined = pipeline
        pipeline = pipeline.assemble(
            pipeline_root=pipeline_root or "",
            metadata_connection_config=metadata_connection_config,
            beam_args=beam_args,
        )
    if not isinstance(pipeline, _tfx.Pipeline):
        raise PipelineError(
            f"expected a pipeline, got {pipeline!r} ({type(pipeline).__name__})",
            hint="Pass a function decorated with @pipeline, or a TFX Pipeline.",
        )
    components = dict(_components(pipeline))
    _check_importable(components.values())
    with compiled_by_penstock([*components.values(), *_pipelines_in(pipeline)]):
        ir = _tfx.Compiler().compile(pipeline)
    outputs = inline(ir)
    uncached = {node_id for node_id, node in components.items() if not uses_cache(node)}
    for entry in ir.nodes:
        if entry.pipeline_node.node_info.id in uncached:
            entry.pipeline_node.execution_options.caching_options.enable_cache = False
    loops = {**write_loops(ir, pipeline, outputs), **unnest(ir)}
    options = {name: _own_options(node, loops.get(name, ())) for name, node in components.items()}
    _add_options(ir, options)
    for value in values(ir):
        _expand_references(value)
    if defined is not None:
        _keep_falsy_defaults(ir, defined)
    return ir


def _components(pipeline: _tfx.Pipeline, within: str = "") -> Iterator[tuple[str, _tfx.BaseNode]]:
    """Yield the nodes of a pipeline and of those in it, with the names that they have in the IR."""
    for node in pipeline.components:
        if isinstance(node, _tfx.Pipeline):
            yield from _components(node, f"{within}{node.id}{SEPARATOR}")
        else:
            yield within + node.id, node


def _pipelines_in(pipeline: _tfx.Pipeline) -> Iterator[_tfx.Pipeline]:
    """Yield the pipelines in a pipeline, and those in them."""
    for node in pipeline.components:
        if isinstance(node, _tfx.Pipeline):
            yield node
            yield from _pipelines_in(node)


def _check_importable(components: Iterable[_tfx.BaseNode]) -> None:
    """Check that the processes of the nodes will find their components.

    Raises:
      PipelineError: one is made where importing its module does not make it.
    """
    for node in components:
        executor = getattr(getattr(node, "executor_spec", None), "executor_class", None)
        # Asked so that a class of TFX's that is not loaded yet need not be.
        reason = inspect.getattr_static(executor, "obstacle", None)
        if executor is not None and reason:
            raise PipelineError(
                f"node {node.id}: the process that runs it imports {executor.__module__} and would "
                f"not find its component there: {reason} ({place_of(executor.function)})",
                hint="Write the component at the top of the module.",
            )


def _add_options(ir: _tfx.PipelineProto, options: Mapping[str, Mapping[str, Any]]) -> None:
    """Write of nodes what TFX's IR has no words for; TFX's own runners refuse a config like this.

    Raises:
      PipelineError: a node has a platform config beside them.
    """
    from google.protobuf import struct_pb2

    options = {node_id: own for node_id, own in options.items() if own}
    if not options:
        return
    config = deployment(ir)
    for node_id, own in sorted(options.items()):
        if node_id in config.node_level_platform_configs:
            raise PipelineError(
                f"node {node_id} has the options {' and '.join(own)} of Penstock's, and a "
                "platform config of TFX's",
                hint="Say it all in with_options(node, ...), as with pod=PodOptions(...).",
            )
        table = struct_pb2.Struct()
        table.update(dict(own))
        config.node_level_platform_configs[node_id].Pack(table)
    ir.deployment_config.Pack(config)


def _own_options(node: _tfx.BaseNode, loops: tuple[LoopSpec, ...]) -> dict[str, Any]:
    pod = pod_options(node)
    options: dict[str, Any] = {} if pod is None else {POD_KEY: as_table(pod)}
    # How often stands in TFX's own options.
    if retries := as_table(replace(retries_of(node), count=0)):
        options[RETRIES_KEY] = retries
    if seconds := cache_seconds_of(node):
        options[CACHE_SECONDS_KEY] = seconds
    if loops:
        options |= _as_option(loops)
    return options if may_accelerate(node) else {**options, ACCELERATE_KEY: False}


def _as_option(loops: tuple[LoopSpec, ...]) -> dict[str, Any]:
    return {LOOPS_KEY: [as_table(loop) for loop in loops]}


def _expand_references(value: _tfx.ValueProto) -> None:
    """Turn JSON text that refers to pipeline parameters into a structural runtime parameter."""
    text = value.field_value.string_value if value.WhichOneof("value") == "field_value" else ""
    opening = f'{{"{PARAMETER_KEY}": '
    if opening not in text:
        return
    parts = _tfx.pipeline_pb2.StructuralRuntimeParameter()
    decoder = json.JSONDecoder()
    while opening in text:
        before, _, _ = text.partition(opening)
        reference, length = decoder.raw_decode(text[len(before) :])
        if before:
            parts.parts.add().constant_value = before
        described = reference[PARAMETER_KEY]
        parameter = parts.parts.add().runtime_parameter
        parameter.name = f"{described['name']}@{described['type']}"
        parameter.type = _tfx.pipeline_pb2.RuntimeParameter.STRING
        if described["default"] is not None:
            parameter.default_value.string_value = json.dumps(described["default"])
        text = text[len(before) + length :]
    if text:
        parts.parts.add().constant_value = text
    value.structural_runtime_parameter.CopyFrom(parts)


def _keep_falsy_defaults(ir: _tfx.PipelineProto, defined: PipelineDefinition) -> None:
    """Restore the defaults 0, 0.0 and "", which TFX's compiler takes for no default."""
    for parameter in runtime_parameters(ir):
        declared = defined.parameters.get(parameter.name)
        if declared is None or declared.name in defined.required or declared.default:
            continue
        field = {int: "int_value", float: "double_value", str: "string_value"}[declared.type]
        setattr(parameter.default_value, field, declared.default)
