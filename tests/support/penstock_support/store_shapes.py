"""What a store says of a run, without what differs from run to run: for comparing runners."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from penstock import _tfx
from penstock.execution.contents import SIGNATURE_PROPERTY
from penstock.ir.reading import RUN_CONTEXT
from penstock.metadata.reading import places_of
from penstock.metadata.store import execution_inputs, execution_outputs

_proto = _tfx.metadata_store_pb2
# How long work took, and where an execution keeps its files while it works.
_MEASURED = ("__wall_seconds__", "__cpu_seconds__", "__peak_memory_bytes__")
_VARYING = {*_MEASURED, SIGNATURE_PROPERTY, "__stateful_working_dir_index__"}


def shape_of_run(store: Any, run_id: str) -> dict[str, Any]:
    """Return by node the executions of a run: types, states, properties, events, contexts.

    Names of runs, addresses and ids are replaced by words; times, sizes in memory and signatures
    (of times on disks) are left out. Contents count by their digests. Two runs of one pipeline on
    two runners have the same shape, with the same fingerprints, so that one could use the other's
    cache.
    """
    context = store.get_context_by_type_and_name(RUN_CONTEXT, run_id)
    executions = store.get_executions_by_context(context.id)
    places = places_of(store, [execution.id for execution in executions])
    types = {t.id: t.name for t in store.get_execution_types()}
    words = {run_id: "<run>"}
    nodes: dict[str, Any] = {}
    for execution in executions:
        node = places[execution.id].node_id
        inputs = execution_inputs(store, execution.id)
        outputs = execution_outputs(store, execution.id)
        for found in (inputs, outputs):
            for key, artifacts in found.items():
                for index, artifact in enumerate(artifacts):
                    words[artifact.uri] = f"<{node} {key} {index}>"
        nodes.setdefault(node, []).append((execution, inputs, outputs))
    return {
        node: [
            {
                "type": types[execution.type_id],
                "state": _proto.Execution.State.Name(execution.last_known_state),
                "properties": _properties(execution, words),
                "inputs": _shapes(inputs, words),
                "outputs": _shapes(outputs, words),
                "contexts": sorted(
                    c.type
                    if c.type not in ("node", "pipeline", RUN_CONTEXT)
                    else f"{c.type} {_reworded(c.name, words)}"
                    for c in store.get_contexts_by_execution(execution.id)
                ),
            }
            for execution, inputs, outputs in made
        ]
        for node, made in sorted(nodes.items())
    }


def _shapes(found: Mapping[str, list[Any]], words: Mapping[str, str]) -> dict[str, Any]:
    return {
        key: [
            {
                "type": artifact.type_name,
                "state": _proto.Artifact.State.Name(artifact.mlmd_artifact.state),
                "properties": _properties(artifact.mlmd_artifact, words),
            }
            for artifact in artifacts
        ]
        for key, artifacts in sorted(found.items())
    }


def _properties(stored: Any, words: Mapping[str, str]) -> dict[str, Any]:
    shown = {}
    for source in (stored.properties, stored.custom_properties):
        for name in source:
            if name not in _VARYING:
                value = source[name]
                kind = value.WhichOneof("value")
                content = getattr(value, kind)
                shown[name] = _reworded(content, words) if kind == "string_value" else str(content)
    return dict(sorted(shown.items()))


def _reworded(text: str, words: Mapping[str, str]) -> str:
    for word in sorted(words, key=len, reverse=True):
        text = text.replace(word, words[word]) if word else text
    return text
