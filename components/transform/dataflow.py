"""tf.Transform's plan of an analysis: a graph of operations on data sets.

preprocessing_fn is traced once, and tf.Transform lays its analyzers out in phases: what an
analyzer needs of the raw rows comes from applying the graph of the phase to them, with the
outputs of earlier phases bound in it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import tensorflow as tf
    from tensorflow_transform.beam.analyzer_cache import DatasetCache, DatasetKey
    from tensorflow_transform.nodes import OperationNode, ValueNode

    from penstock.components.transform.job import Job


@dataclass(frozen=True)
class Dataflow:
    """What an analysis is to compute.

    `saved_model` is the graph that a Transform puts out; `cache_entries` are the encoded entries
    of analyzer caches, by data set and key.
    """

    graph: tf.Graph
    type_specs: Mapping[str, tf.TypeSpec]
    saved_model: ValueNode
    cache_entries: Mapping[DatasetKey, Mapping[bytes, ValueNode]]
    asset_map: Mapping[str, str]
    analyzers_fingerprint: Mapping[str, Any]

    def operations(self) -> list[OperationNode]:
        """Return all operations, each once, inputs first."""
        entries = [node for entry in self.cache_entries.values() for node in entry.values()]
        return list(_operations([self.saved_model, *entries], set()))


def _operations(values: Iterable[ValueNode], seen: set[OperationNode]) -> Iterator[OperationNode]:
    for value in values:
        operation = value.parent_operation
        if operation not in seen:
            seen.add(operation)
            yield from _operations(operation.inputs, seen)
            yield operation


def dataflow_of(
    job: Job,
    datasets: Iterable[DatasetKey],
    caches: Mapping[DatasetKey, DatasetCache] | None,
    temporary: str,
) -> Dataflow:
    """Trace preprocessing_fn and return the plan of its analysis.

    Analyzers are accumulated for each data set alone if there is a mapping of caches, and not at
    all where a cache has the result.
    """
    from tensorflow_transform import annotators, graph_tools, impl_helper
    from tensorflow_transform.beam import analysis_graph_builder

    specs = job.type_specs()
    graph, inputs, outputs = impl_helper.trace_preprocessing_function(
        job.preprocessing_fn, specs, use_tf_compat_v1=False, base_temp_dir=temporary
    )
    asset_map = annotators.get_asset_annotations(graph)
    annotators.clear_asset_annotations(graph)
    fingerprint = graph_tools.get_analyzers_fingerprint(graph, inputs)
    saved_model, entries, _ = analysis_graph_builder.build(
        graph, inputs, outputs, list(datasets), cache_dict=caches
    )
    return Dataflow(graph, specs, saved_model, entries or {}, asset_map, fingerprint)
