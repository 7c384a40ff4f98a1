"""Phases of an analysis: rows through a graph, once, to all that accumulates something of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from penstock.components.transform.combining import Combination, CombinationPerKey
from penstock.components.transform.mutual_information import LabelMeans
from penstock.components.transform.rows import raw_rows
from penstock.components.transform.vocabularies import FrequencyCount
from penstock.data.coding.columns import select
from penstock.errors import UserCodeError

if TYPE_CHECKING:
    import pyarrow
    from tensorflow_transform.beam.analyzer_cache import DatasetKey
    from tensorflow_transform.nodes import OperationDef, OperationNode

    from penstock.components.transform.job import Job


class Accumulation(Protocol):
    """What takes arrays, batch by batch, to a result of bounded size."""

    def add(self, arrays: Sequence[np.ndarray], /) -> None:
        """Add a batch."""

    def result(self) -> Any:
        """Return what all batches come to."""


@dataclass(frozen=True)
class Reading:
    """An accumulation, and the tensors of the graph that it takes.

    `operation` is what it does in tf.Transform's plan; `part` is its place in the operation if
    that is several at once. `dataset` is the only one to take, or None for all.
    """

    operation: OperationNode
    part: str | None
    accumulation: Accumulation
    tensors: tuple[str, ...]
    applied: OperationNode
    dataset: DatasetKey | None

    @property
    def phase(self) -> int:
        """The phase whose graph gives the tensors."""
        phase: int = self.applied.operation_def.phase
        return phase


def readings_of(operation: OperationNode) -> list[Reading]:
    """Return what an operation accumulates of the rows; nothing if it is not of that kind."""
    from tensorflow_transform import analyzer_nodes as nodes
    from tensorflow_transform.beam import beam_nodes

    definition = operation.operation_def
    if isinstance(definition, nodes.PackedCombineAccumulate):
        (applied,) = (value.parent_operation for value in operation.inputs)
        return [
            Reading(
                operation,
                packed.label,
                Combination(packed.combiner),
                tuple(packed.keys),
                applied,
                _dataset(applied),
            )
            for packed in definition.combiners
        ]
    accumulation = _accumulation(definition)
    if accumulation is None:
        return []
    (extracted,) = (value.parent_operation for value in operation.inputs)
    assert isinstance(extracted.operation_def, beam_nodes.ExtractFromDict), extracted
    applied = extracted.inputs[0].parent_operation
    keys = tuple(extracted.operation_def.keys)
    return [Reading(operation, None, accumulation, keys, applied, _dataset(applied))]


def _dataset(applied: OperationNode) -> DatasetKey | None:
    dataset = applied.inputs[1].parent_operation.operation_def.dataset_key
    return None if dataset.is_flattened_dataset_key() else dataset


def _accumulation(definition: OperationDef) -> Accumulation | None:
    from tensorflow_transform import analyzer_nodes as nodes
    from tensorflow_transform.analyzers import _VocabOrderingType as Ordering

    if isinstance(definition, nodes.CacheableCombineAccumulate):
        return Combination(definition.combiner)
    if isinstance(definition, nodes.CacheableCombinePerKeyAccumulate):
        return CombinationPerKey(definition.combiner)
    if not isinstance(definition, nodes.VocabularyAccumulate):
        return None
    if definition.vocab_ordering_type == Ordering.MUTUAL_INFORMATION:
        return LabelMeans(weighted=False)
    if definition.vocab_ordering_type == Ordering.WEIGHTED_MUTUAL_INFORMATION:
        return LabelMeans(weighted=True)
    return FrequencyCount(
        is_text=definition.input_dtype == "string",
        weighted=definition.vocab_ordering_type == Ordering.WEIGHTED_FREQUENCY,
    )


class Rows:
    """The analyzed data sets: their files, and their sizes in memory as far as they were read."""

    def __init__(self, job: Job, files: Mapping[DatasetKey, Sequence[str]]) -> None:
        self._files = files
        self._read = raw_rows(job, job.columns.analyzed)
        self.bytes_read: dict[DatasetKey, int] = {}

    def feed(
        self,
        readings: Sequence[Reading],
        function: Callable[[pyarrow.RecordBatch], Mapping[str, np.ndarray]],
    ) -> None:
        """Read the data sets that are wanted once, and let the readings accumulate."""
        by_dataset: dict[DatasetKey | None, list[Reading]] = defaultdict(list)
        for reading in readings:
            by_dataset[reading.dataset].append(reading)
        for dataset in sorted(self._files):
            takers = by_dataset[None] + by_dataset[dataset]
            if not takers:
                continue
            size = 0
            for batch in self._read(self._files[dataset]):
                size += batch.nbytes
                arrays = function(batch)
                for taker in takers:
                    taker.accumulation.add([arrays[name] for name in taker.tensors])
            self.bytes_read[dataset] = size


def graph_function(
    job: Job, saved_model: str, outputs: Sequence[str]
) -> Callable[[pyarrow.RecordBatch], dict[str, np.ndarray]]:
    """Return a function that gives a batch of raw rows to a phase's graph."""
    import tensorflow as tf
    from tensorflow_transform.saved.saved_transform_io_v2 import SavedModelLoader

    loader = SavedModelLoader(saved_model)
    columns = job.columns.analyzed
    needed = job.tfxio().Project(columns)
    adapter = needed.TensorAdapter()
    names = needed.TensorAdapterConfig().arrow_schema.names
    loader.finalize(columns, outputs)

    def apply(batch: pyarrow.RecordBatch) -> dict[str, np.ndarray]:
        tensors = adapter.ToBatchTensors(select(batch, names), produce_eager_tensors=True)
        try:
            tensors = loader.apply_transform_model(tensors)
        except tf.errors.OpError as error:
            raise UserCodeError(
                f"the analysis failed on a batch of {batch.num_rows} rows: {error.message}",
                hint="An operation of preprocessing_fn cannot take these values.",
            ) from error
        return {name: tensor.numpy() for name, tensor in tensors.items()}

    return apply
