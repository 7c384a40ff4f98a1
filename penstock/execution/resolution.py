"""What a node would do: its inputs, its parameters, and the fingerprint of it all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from penstock import _tfx, ir
from penstock.errors import PenstockError
from penstock.execution import contents
from penstock.execution.cache import (
    Fingerprint,
    code_digests,
    input_addresses,
    input_fingerprints,
    node_fingerprint,
)
from penstock.execution.recording import carried
from penstock.execution.stages import Resolution, Skipped
from penstock.metadata.protocol import Metadata


def resolve(metadata: Metadata, node: ir.Node) -> Resolution | Skipped:
    """Find out what a node of bound IR would do.

    Raises:
      InputResolutionError: its inputs are not there.
    """
    parameters = node_parameters(node)
    inputs = looked_up(metadata, node)
    if inputs is None:
        return Skipped("its condition does not hold")
    parameters.update(_dynamic_parameters(node, inputs))
    return Resolution(
        node,
        inputs,
        parameters,
        Fingerprint(
            node_fingerprint(node),
            code_digests(node.executor_path, parameters),
            parameters,
            input_fingerprints(inputs),
            input_addresses(inputs),
            tuple(item.digest for item in node.items),
        ),
    )


def conditions_hold(metadata: Metadata, node: ir.Node) -> bool:
    """Whether the conditions of a node hold.

    Raises:
      InputResolutionError: the inputs that they ask for are not there.
    """
    return _resolved_inputs(metadata, node) is not None


def looked_up(metadata: Metadata, node: ir.Node) -> _tfx.Artifacts | None:
    """Return the inputs of a node, which a resolver puts out; None if its condition does not hold.

    Raises:
      InputResolutionError: there are none, or several, for each of which it would have to run.
    """
    resolved = _resolved_inputs(metadata, node)
    if resolved is not None and len(resolved) != 1:
        raise _tfx.InputResolutionError(
            f"it would have to run once for each of {len(resolved)} inputs"
        )
    return None if resolved is None else resolved[0]


def intact(metadata: Metadata, node: ir.Node) -> Intact:
    """Return what a resolver gives out, of artifacts that are as they were published.

    Whatever its strategy is, it chooses again without those of its choice that are not, which the
    cache would not use either.

    Raises:
      InputResolutionError: see `looked_up`.
      StorageError: the object store of an artifact cannot be asked; an older one is not the answer.
    """
    passed_over: dict[int, str] = {}
    choosing = node
    while True:
        chosen = looked_up(metadata, choosing)
        harm = {
            artifact.id: damage
            for artifacts in (chosen or {}).values()
            for artifact in artifacts
            if (damage := contents.found_damage(artifact))
        }
        if not harm.keys() - passed_over.keys():
            return Intact(choosing, chosen, tuple(passed_over.values()))
        passed_over.update(harm)
        choosing = node.with_static_inputs(
            {
                key: [i for i in _candidates(metadata, spec) if i not in passed_over]
                for key, spec in node.proto.inputs.inputs.items()
                if key not in node.condition_keys
                and (spec.channels or spec.HasField("static_inputs"))
            }
        )


def _candidates(metadata: Metadata, spec: _tfx.InputSpec) -> list[int]:
    """Return the ids of the artifacts that a strategy has for one of a resolver's inputs."""
    artifacts = [
        artifact.id
        for channel in spec.channels
        for artifact in _tfx.channel_resolver.resolve_single_channel(metadata, channel)
    ]
    return [*spec.static_inputs.artifact_ids, *artifacts]


@dataclass(frozen=True)
class Intact:
    """What a resolver gives out, None if its condition does not hold.

    `node` is the resolver with inputs that lead to it; `passed_over` says what has become of the
    artifacts that it would have given out.
    """

    node: ir.Node
    outputs: _tfx.Artifacts | None
    passed_over: tuple[str, ...]

    @property
    def notes(self) -> list[str]:
        """What there is to say of them."""
        return [f"passed over, as {harm}" for harm in self.passed_over]


def _resolved_inputs(metadata: Metadata, node: ir.Node) -> list[_tfx.Artifacts] | None:
    resolved = _tfx.inputs_utils.resolve_input_artifacts(
        pipeline_node=node.proto, metadata_handle=metadata
    )
    return None if isinstance(resolved, _tfx.inputs_utils.Skip) else list(resolved)


def node_parameters(node: ir.Node) -> dict[str, Any]:
    """Return a node's parameters as far as they do not come from other nodes."""
    parameters: dict[str, Any] = _tfx.data_types_utils.build_parsed_value_dict(
        _tfx.inputs_utils.resolve_parameters_with_schema(node_parameters=node.proto.parameters)
    )
    return parameters


def execution_info(resolution: Resolution, execution_id: int = 0) -> _tfx.ExecutionInfo:
    """Return TFX's `ExecutionInfo` of a node, without folders on disk."""
    node = resolution.node
    outputs = outputs_resolver(node).generate_output_artifacts(execution_id)
    return _tfx.data_types.ExecutionInfo(
        execution_id=execution_id,
        input_dict={key: list(artifacts) for key, artifacts in resolution.inputs.items()},
        output_dict=dict(outputs),
        exec_properties=dict(resolution.parameters),
        pipeline_node=node.proto,
        pipeline_info=node.info,
        pipeline_run_id=node.run_id,
    )


def outputs_resolver(node: ir.Node) -> Any:  # TFX's OutputsResolver
    """Return what knows where a node's outputs and working folders are."""
    return _tfx.outputs_utils.OutputsResolver(
        pipeline_node=node.proto,
        pipeline_info=node.info,
        pipeline_runtime_spec=node.runtime,
    )


def _dynamic_parameters(node: ir.Node, inputs: _tfx.Artifacts) -> Mapping[str, Any]:
    """Read parameters that come from other nodes' artifacts."""
    info = _tfx.data_types.ExecutionInfo(
        input_dict={key: list(artifacts) for key, artifacts in inputs.items()},
        pipeline_node=node.proto,
        pipeline_info=node.info,
        pipeline_run_id=node.run_id,
    )
    context = _tfx.placeholder_utils.ResolutionContext(exec_info=info, executor_spec=node.executor)
    resolved: Mapping[str, Any] = _tfx.inputs_utils.resolve_dynamic_parameters(
        node_parameters=node.proto.parameters, context=context
    )
    return {name: carried(name, value, node.executor_path) for name, value in resolved.items()}


def driver_parameters(output: Any) -> dict[str, Any]:
    """Return the parameters that a `DriverOutput` has."""
    return {
        key: getattr(value, value.WhichOneof("value"))
        for key, value in output.exec_properties.items()
    }


def root_cause(error: BaseException) -> str:
    """Return the innermost reason of an error."""
    while error.__cause__ is not None:
        error = error.__cause__
    # Ours say what they are about.
    return str(error) if isinstance(error, PenstockError) else f"{type(error).__name__}: {error}"
