"""A single node as IR: compiled on its own, run with what other nodes have made, kept in the store.

What it takes from others stands in its IR as it would in the pipeline. For a run, artifacts of the
session take the place of that, as static inputs, which TFX's own input resolution understands.
"""

from __future__ import annotations

import functools
import json
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from google.protobuf.message import DecodeError

from penstock import _tfx, ir
from penstock.authoring.for_each import loops_of
from penstock.authoring.pipeline import with_own_places
from penstock.errors import PipelineError
from penstock.ir.reading import RUN_CONTEXT
from penstock.metadata.protocol import Store
from penstock.metadata.reading import run_context
from penstock.metadata.rows import Row, int_of, json_of, readable, reading, text_of
from penstock.metadata.run_requests import read_parameters
from penstock.metadata.store import execution_outputs

_SESSION, _NODE, _CELL = "notebook_session", "notebook_node", "notebook_cell"


@dataclass(frozen=True)
class Source:
    """Where an input comes from: an output of a node; `of_this_run`, or else of earlier runs."""

    node_id: str
    key: str
    of_this_run: bool = True


@dataclass(frozen=True)
class Definition:
    """A node as it was defined: `pipeline` is IR that has it alone, parameters not bound."""

    pipeline: Any
    cell: int | None = None

    @property
    def node(self) -> Any:
        """The node's own IR."""
        return self.pipeline.nodes[0].pipeline_node

    @property
    def node_id(self) -> str:
        """The node's name."""
        return str(self.node.node_info.id)

    def sources(self) -> dict[str, list[Source]]:
        """Return for every input where it comes from."""
        return {key: self._sources(key) for key in self.node.inputs.inputs}

    def _sources(self, key: str) -> list[Source]:
        spec = self.node.inputs.inputs[key]
        if spec.mixed_inputs.input_keys:
            return [s for inner in spec.mixed_inputs.input_keys for s in self._sources(inner)]
        sources = []
        for channel in spec.channels:
            contexts = {
                q.type.name: q.name.field_value.string_value for q in channel.context_queries
            }
            node_id = contexts.get("node", "").removeprefix(f"{contexts.get('pipeline')}.")
            if node_id:
                sources.append(Source(node_id, channel.output_key, RUN_CONTEXT in contexts))
        return sources

    def producers(self) -> set[str]:
        """Return the nodes that it takes something from in the same run, or waits for."""
        named = {s.node_id for sources in self.sources().values() for s in sources if s.of_this_run}
        return named | set(self.node.upstream_nodes)


@dataclass(frozen=True)
class Ran:
    """A node that has run: its definition, and the artifacts that it took and made, by key.

    `parameters` are those of the pipeline that it had.
    """

    definition: Definition
    run_id: str
    execution_id: int | None
    outputs: _tfx.Artifacts
    inputs: Mapping[str, list[int]]
    parameters: Mapping[str, Any] = field(default_factory=dict)

    @property
    def node_id(self) -> str:
        """The node's name."""
        return self.definition.node_id


def define(
    node: Any,
    *,
    pipeline_name: str,
    pipeline_root: str,
    beam_args: Sequence[str],
    homes: Mapping[str, str],
    cell: int | None,
) -> Definition:
    """Compile a component, importer or resolver on its own.

    `homes` has for a module the one that stands for it in worker processes and in the export.

    Raises:
      PipelineError: the node runs under a condition, or in a loop.
    """
    registry = _tfx.node_registry()
    if _tfx.get_predicates(node, registry):
        raise PipelineError(
            f"{node.id} runs under a condition, and in a session a node runs when it is told to",
            hint="Make it outside of the condition; write that into the exported pipeline.",
        )
    if loops_of(node, registry):
        raise PipelineError(
            f"{node.id} runs in a loop, and in a session a node runs once when it is told to",
            hint="Make it outside of the loop; write that into the exported pipeline.",
        )
    upstream = sorted(other.id for other in node.upstream_nodes)
    # TFX's pipeline takes its nodes out of their registry, and a node may run again.
    with _alone(node), _tfx.new_node_registry() as own_registry, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        own_registry.put_node(node)
        pipeline = with_own_places(
            [node],
            lambda: _tfx.Pipeline(
                pipeline_name=pipeline_name,
                pipeline_root=pipeline_root,
                components=[node],
                enable_cache=True,
                beam_pipeline_args=list(beam_args),
            ),
        )
        compiled = ir.compile_pipeline(pipeline)
    definition = Definition(_moved(compiled, homes), cell)
    definition.node.upstream_nodes.extend(upstream)
    return definition


@contextmanager
def _alone(node: Any) -> Iterator[None]:
    """Take a node out of the graph of objects that it was wired into, for the compiler.

    It is put back with the Beam arguments that it had, before which TFX puts its pipeline's.
    """
    above, below = list(node.upstream_nodes), list(node.downstream_nodes)
    spec: Any = getattr(node, "executor_spec", None)
    args = getattr(spec, "beam_pipeline_args", None)
    for other in above:
        node.remove_upstream_node(other)
    for other in below:
        node.remove_downstream_node(other)
    try:
        yield
    finally:
        if args is not None:
            spec.beam_pipeline_args = args
        node.add_upstream_nodes(above)
        node.add_downstream_nodes(below)


def _moved(compiled: Any, homes: Mapping[str, str]) -> Any:
    """Return IR in which the classes of some modules are found in others."""

    def moved(path: str) -> str:
        module, _, name = path.rpartition(".")
        return f"{homes[module]}.{name}" if module in homes else path

    for entry in compiled.nodes:
        kind = entry.pipeline_node.node_info.type
        kind.name = moved(kind.name)
    deployment = ir.deployment(compiled)
    for specs in (deployment.executor_specs, deployment.custom_driver_specs):
        for packed in specs.values():
            spec = _tfx.executable_spec_pb2.PythonClassExecutableSpec()
            beam = _tfx.executable_spec_pb2.BeamExecutableSpec()
            if packed.Unpack(spec):
                spec.class_path = moved(spec.class_path)
                packed.Pack(spec)
            elif packed.Unpack(beam):
                beam.python_executor_spec.class_path = moved(beam.python_executor_spec.class_path)
                packed.Pack(beam)
    compiled.deployment_config.Pack(deployment)
    return compiled


def with_inputs(
    definition: Definition, artifacts: Mapping[tuple[str, str], Sequence[_tfx.Artifact]]
) -> Any:
    """Return IR that runs a node on artifacts, which are given by producer and output."""
    pipeline = _tfx.pipeline_pb2.Pipeline()
    pipeline.CopyFrom(definition.pipeline)
    node = pipeline.nodes[0].pipeline_node
    del node.upstream_nodes[:]
    for key, sources in definition.sources().items():
        spec = node.inputs.inputs[key]
        if not (spec.channels and sources and all(s.of_this_run for s in sources)):
            continue
        del spec.channels[:]
        spec.static_inputs.SetInParent()
        for source in sources:
            of_source = artifacts.get((source.node_id, source.key), [])
            spec.static_inputs.artifact_ids.extend(artifact.id for artifact in of_source)
    return pipeline


def in_order(definitions: Mapping[str, Definition]) -> Iterator[Definition]:
    """Yield definitions, each after those whose outputs it names."""
    done: set[str] = set()

    def visit(node_id: str) -> Iterator[Definition]:
        if node_id in done or node_id not in definitions:
            return
        done.add(node_id)
        for sources in definitions[node_id].sources().values():
            for source in sources:
                yield from visit(source.node_id)
        yield definitions[node_id]

    for node_id in definitions:
        yield from visit(node_id)


def record(store: Store, session: str, ran: Ran) -> None:
    """Write into the context of its run which node a session has run, and how it is defined."""
    context = run_context(store, ran.run_id)
    context.custom_properties[_SESSION].string_value = session
    context.custom_properties[_CELL].int_value = ran.definition.cell or 0
    kept = {
        "ir": ran.definition.pipeline.SerializeToString(deterministic=True).hex(),
        "execution": ran.execution_id,
        "inputs": {key: list(ids) for key, ids in ran.inputs.items()},
    }
    context.custom_properties[_NODE].string_value = json.dumps(kept)
    store.put_contexts([context])


def recorded(store: Store, session: str, through: str | None = None) -> list[Ran]:
    """Return what a session has run, oldest first; no more than `through`, the name of a run."""
    nodes: list[Ran] = []
    for context in sorted(store.get_contexts_by_type(RUN_CONTEXT), key=lambda c: c.id):
        properties = context.custom_properties
        if _SESSION not in properties or properties[_SESSION].string_value != session:
            continue
        nodes += readable([context], functools.partial(_read, store))
        if context.name == through:
            break
    return nodes


def _read(store: Store, context: Any) -> Ran:
    with reading(Row(RUN_CONTEXT, context.id, context.name)):
        kept = json_of(text_of(context, _NODE), dict, _NODE)
        pipeline = _pipeline(bytes.fromhex(kept["ir"]))
        cell = int_of(context, _CELL) or None
        execution_id = None if kept["execution"] is None else int(kept["execution"])
        inputs = {str(key): [int(i) for i in ids] for key, ids in kept["inputs"].items()}
    outputs = execution_outputs(store, execution_id) if execution_id else {}
    return Ran(
        Definition(pipeline, cell),
        context.name,
        execution_id,
        outputs,
        inputs,
        read_parameters(context),
    )


def _pipeline(serialized: bytes) -> Any:
    try:
        return _tfx.pipeline_pb2.Pipeline.FromString(serialized)
    except DecodeError as error:
        raise ValueError(f"expected a pipeline, got {len(serialized)} bytes: {error}") from error


def sessions(store: Store) -> dict[str, str]:
    """Return the session of every run that belongs to one."""
    return {
        context.name: context.custom_properties[_SESSION].string_value
        for context in store.get_contexts_by_type(RUN_CONTEXT)
        if _SESSION in context.custom_properties
    }
