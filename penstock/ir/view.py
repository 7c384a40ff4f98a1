"""A pipeline's IR as frozen values: each node with what belongs to it, unpacked once.

TFX's own functions take messages of the IR; they are there as `proto`, to be read and never
changed. What is to be another pipeline is made of a copy of its message, and viewed anew.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from types import MappingProxyType
from typing import Any

from penstock import _tfx
from penstock.ir.loops import LoopSpec
from penstock.ir.reading import class_path, deployment, node_protos, placeholder_keys, unpacked_spec
from penstock.project.pods import PodOptions
from penstock.project.retrying import Retries
from penstock.project.tables import read_table

# Under which a node's platform config holds its options for pods, whether an engine of ours may do
# the work of TFX's, what is said of retries beside their number, and how old what it takes from
# earlier runs may be.
POD_KEY = "pod"
ACCELERATE_KEY = "accelerate"
RETRIES_KEY = "retries"
CACHE_SECONDS_KEY = "cache_seconds"
LOOPS_KEY = "loops"

# TFX's TriggerStrategy.ALL_UPSTREAM_NODES_COMPLETED.
_WHATEVER_COMES = 2

IMPORTER = "tfx.dsl.components.common.importer.Importer"
RESOLVER = "tfx.dsl.components.common.resolver.Resolver"


@dataclass(frozen=True)
class Item:
    """An item of a loop: its place, what is said of it, and a digest that tells it from others."""

    index: int
    text: str
    digest: str


@dataclass(frozen=True)
class Node:
    """A node of a pipeline, with what the pipeline says of it and of itself.

    `executor` is None for importers and resolvers, `driver` for nodes without a driver of their
    own. `platform` is what the pipeline says of the platform that the node runs on, packed.
    `done_by` says of a node of TFX's, once that is decided, who does its work, and why. `loops` are
    those in which it still stands for all items, the outermost first; `items` are those that it
    runs for, and `template` is then the node that stood for all.
    """

    proto: _tfx.NodeProto
    info: _tfx.PipelineInfo
    runtime: _tfx.RuntimeSpec
    executor: _tfx.ExecutableSpec | None = None
    driver: _tfx.ExecutableSpec | None = None
    platform: Any = None  # a google.protobuf.Any, whatever is in it
    done_by: str = ""
    loops: tuple[LoopSpec, ...] = ()
    items: tuple[Item, ...] = ()
    template: str = ""

    @cached_property
    def id(self) -> str:
        """The node's name."""
        return str(self.proto.node_info.id)

    @property
    def kind(self) -> str:
        """The name of its type: its class's import path."""
        return str(self.proto.node_info.type.name)

    @property
    def pipeline(self) -> str:
        """The pipeline's name."""
        return str(self.info.id)

    @property
    def run_id(self) -> str:
        """The run's name, "" before the IR is bound."""
        return str(self.runtime.pipeline_run_id.field_value.string_value)

    @property
    def root(self) -> str:
        """The pipeline's root, "" before the IR is bound."""
        return str(self.runtime.pipeline_root.field_value.string_value)

    @property
    def folder(self) -> str:
        """The folder below the pipeline's root that holds what the node makes."""
        return os.path.join(self.root, self.id)

    @property
    def works_in_store(self) -> bool:
        """Whether it does its work in the store alone: an importer or a resolver."""
        return self.kind in (IMPORTER, RESOLVER)

    @property
    def is_importer(self) -> bool:
        """Whether it brings in an artifact from outside."""
        return self.kind == IMPORTER

    @property
    def is_container(self) -> bool:
        """Whether its executor is a container of its own."""
        return isinstance(self.executor, _tfx.executable_spec_pb2.ContainerExecutableSpec)

    @property
    def executor_path(self) -> str | None:
        """The import path of its executor's class, None if it has none."""
        return class_path(self.executor)

    @property
    def driver_path(self) -> str | None:
        """The import path of its own driver's class, None if it has none."""
        return class_path(self.driver)

    @property
    def deploys(self) -> bool:
        """Whether its work is to deploy: that of Pushers and registrars."""
        kind = self.proto.node_info.type
        return bool(kind.base_type == _tfx.metadata_store_pb2.ExecutionType.DEPLOY)

    @property
    def is_cached(self) -> bool:
        """Whether what earlier executions made may stand in for its work.

        A node that starts whatever has become of the others does so for what it does.
        """
        options = self.proto.execution_options
        return bool(options.caching_options.enable_cache) and options.strategy != _WHATEVER_COMES

    @property
    def cache_seconds(self) -> int:
        """How old what earlier executions made may be to stand in for its work, 0 for any age."""
        return int(self._own_options.get(CACHE_SECONDS_KEY, 0))

    @property
    def item(self) -> str:
        """What is said of the item that it runs for, "" where it stands in no loop."""
        return ", ".join(item.text for item in self.items)

    @property
    def retries(self) -> Retries:
        """How its work is tried again."""
        count = int(self.proto.execution_options.max_execution_retries)
        own = read_table(Retries, self._own_options.get(RETRIES_KEY, {}), key=self.id)
        return replace(own, count=count)

    @property
    def timeout(self) -> int:
        """The seconds that its work may take, 0 for as many as it likes."""
        return int(self.proto.execution_options.execution_timeout_sec)

    @property
    def is_optional(self) -> bool:
        """Whether its failure does not fail the run."""
        return bool(self.proto.execution_options.node_success_optional)

    @property
    def is_left_out(self) -> bool:
        """Whether it is not to run."""
        return bool(self.proto.execution_options.HasField("skip"))

    @property
    def lends(self) -> bool:
        """Whether it is not to run, but others need what it made before."""
        skip = self.proto.execution_options.skip
        # Older TFX has the one, and its `mark_pipeline` writes the other.
        required = skip.reuse_artifacts or skip.reuse_artifacts_mode == skip.REQUIRED
        return self.is_left_out and bool(required)

    @property
    def may_lend(self) -> bool:
        """Whether it is not to run, and lends what it made before where that is there."""
        skip = self.proto.execution_options.skip
        return self.is_left_out and not self.lends and skip.reuse_artifacts_mode == skip.OPTIONAL

    @cached_property
    def upstream(self) -> tuple[str, ...]:
        """The nodes that it waits for."""
        return tuple(self.proto.upstream_nodes)

    @property
    def producers(self) -> frozenset[str]:
        """The nodes of the same pipeline whose outputs it takes."""
        named = {name for names in self.producers_by_input.values() for name in names}
        named.update(name for loop in self.loops for name in loop.producers)
        return frozenset(named & set(self.upstream))

    @property
    def producers_by_input(self) -> Mapping[str, frozenset[str]]:
        """The nodes whose outputs it takes, by the key of the input."""
        return {
            key: frozenset(channel.producer_node_query.id for channel in spec.channels)
            for key, spec in self.proto.inputs.inputs.items()
        }

    @property
    def constants(self) -> Mapping[str, Any]:
        """The parameters whose values stand in the pipeline."""
        return {
            name: _tfx.data_types_utils.get_metadata_value(value.field_value)
            for name, value in self.proto.parameters.parameters.items()
            if value.WhichOneof("value") == "field_value"
        }

    @property
    def output_keys(self) -> tuple[str, ...]:
        """The keys of its outputs."""
        return tuple(self.proto.outputs.outputs)

    @property
    def conditions(self) -> frozenset[str]:
        """The names of the conditions under which it runs."""
        return frozenset(self.proto.inputs.conditionals)

    @property
    def condition_keys(self) -> frozenset[str]:
        """The keys of the inputs that its conditions look at."""
        return frozenset(
            key
            for conditional in self.proto.inputs.conditionals.values()
            for key in placeholder_keys(conditional.placeholder_expression)
        )

    @property
    def pod_options(self) -> PodOptions:
        """What the pipeline itself asks of Kubernetes for it."""
        return read_table(PodOptions, self._own_options.get(POD_KEY, {}), key=self.id)

    @property
    def accelerate(self) -> bool:
        """Whether an engine of ours may do the work of an executor of TFX's."""
        return bool(self._own_options.get(ACCELERATE_KEY, True))

    @property
    def _own_options(self) -> Mapping[str, Any]:
        """What `with_options` wrote into its platform config, as JSON."""
        from google.protobuf import json_format, struct_pb2

        table = struct_pb2.Struct()
        if self.platform is None or not self.platform.Unpack(table):
            return {}
        options: Mapping[str, Any] = json_format.MessageToDict(table)
        return options

    def written_loops(self) -> tuple[LoopSpec, ...]:
        """Return the loops that it stands in as they are written in the pipeline."""
        tables = self._own_options.get(LOOPS_KEY, ())
        return tuple(read_table(LoopSpec, table, key=self.id) for table in tables)

    def written(self, name: str) -> str:
        """Return a parameter's text as it stands in the pipeline, "" where it has none."""
        if name not in self.proto.parameters.parameters:
            return ""
        return str(self.proto.parameters.parameters[name].field_value.string_value)

    def copied(self) -> _tfx.NodeProto:
        """Return a copy of its message, to be changed."""
        proto = type(self.proto)()
        proto.CopyFrom(self.proto)
        return proto

    def left_out(self, *, lends: bool) -> Node:
        """Return a node that is not to run, and lends what it made before or does not."""
        proto = self.copied()
        skip = proto.execution_options.skip
        skip.Clear()
        skip.reuse_artifacts_mode = skip.REQUIRED if lends else skip.NEVER
        return replace(self, proto=proto)

    def with_static_inputs(self, artifact_ids: Mapping[str, Iterable[int]]) -> Node:
        """Return a node that takes some inputs from the store by their artifacts' ids."""
        proto = self.copied()
        for key, ids in artifact_ids.items():
            spec = proto.inputs.inputs[key]
            del spec.channels[:]
            spec.ClearField("static_inputs")
            spec.static_inputs.artifact_ids.extend(ids)
            spec.static_inputs.SetInParent()
        return replace(self, proto=proto)


@dataclass(frozen=True)
class Pipeline:
    """A pipeline's IR, its nodes by name in topological order."""

    proto: _tfx.PipelineProto
    nodes: Mapping[str, Node]

    @property
    def name(self) -> str:
        """The pipeline's name."""
        return str(self.proto.pipeline_info.id)

    @property
    def run_id(self) -> str:
        """The run's name, "" before the IR is bound."""
        return str(self.proto.runtime_spec.pipeline_run_id.field_value.string_value)

    @property
    def root(self) -> str:
        """The pipeline's root, "" before the IR is bound."""
        return str(self.proto.runtime_spec.pipeline_root.field_value.string_value)

    @property
    def base_run(self) -> str | None:
        """The run that nodes which are left out lend from, where TFX's marks name one."""
        settings = self.proto.runtime_spec.snapshot_settings
        return str(settings.base_pipeline_run_strategy.base_run_id) or None

    @property
    def lends_of_latest(self) -> bool:
        """Whether TFX's marks say that the latest run of the pipeline lends, whatever it has."""
        settings = self.proto.runtime_spec.snapshot_settings
        return bool(settings.HasField("latest_pipeline_run_strategy"))

    @property
    def chosen(self) -> list[str]:
        """The nodes that are to run."""
        return [node.id for node in self if not node.is_left_out]

    def __iter__(self) -> Iterator[Node]:
        return iter(self.nodes.values())


def view(ir: _tfx.PipelineProto) -> Pipeline:
    """Return a view of a pipeline's IR, which nobody changes any more.

    Raises:
      PipelineError: it holds another pipeline, or says in an unknown way how nodes are executed.
    """
    config = deployment(ir)
    # A map of messages makes an entry for what it is asked for, where it has none.
    platforms = dict(config.node_level_platform_configs)
    nodes: dict[str, Node] = {}
    for proto in node_protos(ir):
        node_id = proto.node_info.id
        executor, driver = (
            unpacked_spec(specs[node_id], node_id) if node_id in specs else None
            for specs in (config.executor_specs, config.custom_driver_specs)
        )
        nodes[node_id] = Node(
            proto,
            ir.pipeline_info,
            ir.runtime_spec,
            executor,
            driver,
            platforms.get(node_id),
        )
        nodes[node_id] = replace(nodes[node_id], loops=nodes[node_id].written_loops())
    return Pipeline(ir, MappingProxyType(nodes))
