"""Phases of an analysis: rows through a graph, once, to all that accumulates something of them."""

from __future__ import annotations

import functools
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from penstock.components.transform.combining import Combination, CombinationPerKey
from penstock.components.transform.mutual_information import LabelMeans
from penstock.components.transform.rows import raw_rows
from penstock.components.transform.vocabularies import FrequencyCount
from penstock.data.coding.columns import select
from penstock.data.parallel.processes import Advance
from penstock.data.parallel.workers import Workers
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

    def merge(self, further: Any, /) -> None:
        """Add the batches that were added to another of its kind."""

    def fresh(self) -> Accumulation:
        """Return one of its kind without batches."""

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
    """The analyzed data sets: their files, and their sizes in memory as far as they were read.

    Each file is a part of the work for `workers`, and the parts are merged in their order, so that
    what comes of them does not depend on who does them.
    """

    def __init__(
        self, job: Job, files: Mapping[DatasetKey, Sequence[str]], workers: Workers
    ) -> None:
        self._job = job
        self._files = files
        self._workers = workers
        self.bytes_read: dict[DatasetKey, int] = {}

    def feed(self, readings: Sequence[Reading], saved_model: str) -> None:
        """Read the data sets that are wanted once, and let the readings accumulate."""
        by_dataset: dict[DatasetKey | None, list[Reading]] = defaultdict(list)
        for reading in readings:
            by_dataset[reading.dataset].append(reading)
        takers = {
            dataset: of_dataset
            for dataset in sorted(self._files)
            if (of_dataset := by_dataset[None] + by_dataset[dataset])
        }
        parts = [
            _FileOf(file, tuple((t.accumulation.fresh(), t.tensors) for t in takers[dataset]))
            for dataset in takers
            for file in self._files[dataset]
        ]
        datasets = (dataset for dataset in takers for _ in self._files[dataset])
        accumulate = Accumulate(self._job.for_workers(), saved_model, _names(readings))
        results = self._workers.map(accumulate, parts, named=_FileOf.described)
        self.bytes_read.update(dict.fromkeys(takers, 0))
        for dataset, (size, accumulations) in zip(datasets, results, strict=True):
            self.bytes_read[dataset] += size
            for taker, accumulation in zip(takers[dataset], accumulations, strict=True):
                taker.accumulation.merge(accumulation)


def _names(readings: Sequence[Reading]) -> tuple[str, ...]:
    return tuple(sorted({name for reading in readings for name in reading.tensors}))


@dataclass(frozen=True)
class _FileOf:
    """A file to read, and what should accumulate of it, with the tensors that it takes."""

    file: str
    takers: Sequence[tuple[Accumulation, Sequence[str]]]

    def described(self) -> str:
        """Return what a worker does with it."""
        return f"analyze {self.file}"


@dataclass(frozen=True)
class Accumulate:
    """The work on a file: its rows go through the graph `saved_model`, whose `outputs` are taken.

    It is called with a file, and returns the size of its rows in memory and the accumulations.
    """

    job: Job
    saved_model: str
    outputs: Sequence[str]

    @functools.cached_property
    def _function(self) -> Callable[[pyarrow.RecordBatch], Mapping[str, np.ndarray]]:
        return graph_function(self.job, self.saved_model, self.outputs)

    @functools.cached_property
    def _read(self) -> Callable[[Sequence[str]], Iterable[pyarrow.RecordBatch]]:
        return raw_rows(self.job, self.job.columns.analyzed)

    def __call__(self, part: _FileOf, advance: Advance) -> tuple[int, list[Accumulation]]:
        """Read a file once, and let what its takers are like accumulate."""
        # In this process the parts are kept until the last is done, and should stay small.
        takers = [(accumulation.fresh(), tensors) for accumulation, tensors in part.takers]
        size = 0
        for batch in self._read([part.file]):
            size += batch.nbytes
            arrays = self._function(batch)
            for accumulation, tensors in takers:
                accumulation.add([arrays[name] for name in tensors])
            advance(batch.num_rows)
        return size, [accumulation for accumulation, _ in takers]


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
