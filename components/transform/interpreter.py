"""tf.Transform's analysis in this process: its plan is interpreted, one operation after the other.

A phase reads the rows once. Each batch goes through the graph of the phase and then to all the
accumulators that want something of it, so that memory does not grow with the rows. What is left
of a phase is small and computed at once.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from penstock.components.transform import analyzer_cache_files, operations, vocabularies
from penstock.components.transform.dataflow import Dataflow, dataflow_of
from penstock.components.transform.operations import Elements
from penstock.components.transform.phases import Reading, Rows, readings_of
from penstock.components.transform.saved_graph import Binding, write_graph, write_transform_graph
from penstock.components.transform.vocabularies import Counts
from penstock.data.parallel.workers import Workers

if TYPE_CHECKING:
    from tensorflow_transform.beam.analyzer_cache import DatasetCache, DatasetKey
    from tensorflow_transform.nodes import OperationDef, OperationNode

    from penstock.components.transform.job import Job


def analyze(job: Job, temporary: str, workers: Workers) -> str | None:
    """Write the graph, and the analyzer cache if asked, or return why only Beam can do it."""
    from tensorflow_transform import tf2_utils
    from tensorflow_transform.beam.analyzer_cache import DatasetKey

    if tf2_utils.use_tf_compat_v1(job.force_tf_compat_v1):
        return "force_tf_compat_v1 asks for a graph of TensorFlow 1"
    files = {DatasetKey(name): list(files) for name, files in job.analyze_files.items()}
    caches = None
    if job.updated_cache_directory:
        caches = analyzer_cache_files.read(job.cache_directory, files)
    dataflow = dataflow_of(job, files, caches, temporary)
    interpreter = _Interpreter(job, dataflow, Rows(job, files, workers), caches or {}, temporary)
    if reason := interpreter.unsupported():
        return reason
    interpreter.run()
    if job.updated_cache_directory:
        interpreter.write_caches(job.updated_cache_directory)
    return None


class _Interpreter:
    def __init__(
        self,
        job: Job,
        dataflow: Dataflow,
        rows: Rows,
        caches: Mapping[DatasetKey, DatasetCache],
        temporary: str,
    ) -> None:
        self._job = job
        self._dataflow = dataflow
        self._rows = rows
        self._caches = caches
        self._temporary = temporary
        self._nodes = dataflow.operations()
        self._outputs: dict[OperationNode, tuple[Elements, ...]] = {}
        self._readings: list[Reading] = []
        self._phases_read: set[int] = set()

    def unsupported(self) -> str | None:
        """Return what in the plan only Beam can do, if anything."""
        from tensorflow_transform.beam import beam_nodes

        supported = {*operations.plain(), *self._kinds()}
        rows: set[OperationNode] = set()
        for node in self._nodes:
            definition = node.operation_def
            if type(definition) not in supported:
                return f"no {type(definition).__name__} in process ({definition.label})"
            if reason := operations.unsupported_option(definition):
                return f"no {reason} in process ({definition.label})"
            if isinstance(definition, beam_nodes.ApplySavedModel):
                rows.add(node)
            elif any(value.parent_operation in rows for value in node.inputs):
                if isinstance(definition, beam_nodes.ExtractFromDict):
                    rows.add(node)
                elif not readings_of(node):
                    name = type(definition).__name__
                    return f"no {name} of rows in process ({definition.label})"
        return None

    def run(self) -> None:
        """Do all operations; one of them writes the graph to put out."""
        self._readings = [reading for node in self._nodes for reading in readings_of(node)]
        plain, kinds = operations.plain(), self._kinds()
        # A plan's operations are in an order in which inputs come first.
        for node in self._nodes:
            kind = type(node.operation_def)
            if kind in kinds:
                self._outputs[node] = kinds[kind](node)
            else:
                self._outputs[node] = plain[kind](node.operation_def, *self._inputs(node))

    def write_caches(self, directory: str) -> None:
        """Write the entries of analyzer caches that were not there yet."""
        for dataset, entries in self._dataflow.cache_entries.items():
            encoded = {key: self._output(value) for key, value in entries.items()}
            size = self._rows.bytes_read.get(dataset, 0)
            analyzer_cache_files.write(directory, dataset, encoded, size)

    def _output(self, value: Any) -> Any:
        return self._outputs[value.parent_operation][value.value_index]

    def _inputs(self, node: OperationNode) -> list[Any]:
        return [self._output(value) for value in node.inputs]

    def _kinds(self) -> Mapping[type[OperationDef], Callable[[OperationNode], tuple[Any, ...]]]:
        """Return what does those kinds of operations that need more than their inputs."""
        from tensorflow_transform import analyzer_nodes as nodes
        from tensorflow_transform.beam import beam_nodes

        return {
            beam_nodes.ApplySavedModel: _in_phases,
            beam_nodes.CreateSavedModel: self._write_saved_model,
            beam_nodes.CreateTensorBinding: self._bind,
            beam_nodes.ExtractFromDict: self._extract,
            beam_nodes.ExtractInputForSavedModel: _in_phases,
            nodes.CacheableCombineAccumulate: self._accumulate,
            nodes.CacheableCombinePerKeyAccumulate: self._accumulate,
            nodes.DecodeCache: self._decode_cache,
            nodes.ExtractVocabularyReservedTokens: self._reserved_tokens,
            nodes.PackedCombineAccumulate: self._accumulate,
            nodes.VocabularyAccumulate: self._accumulate,
            nodes.VocabularyOrderAndWrite: self._write_vocabulary,
        }

    def _write_saved_model(self, node: OperationNode) -> tuple[list[str]]:
        bindings = [binding for (binding,) in self._inputs(node)]
        outputs = node.operation_def.output_signature
        if node is self._dataflow.saved_model.parent_operation:
            write_transform_graph(self._job, self._dataflow, bindings, outputs, self._temporary)
            return ([],)
        directory = os.path.join(self._temporary, uuid.uuid4().hex)
        write_graph(self._job, self._dataflow, bindings, outputs, directory, self._temporary)
        return ([directory],)

    def _bind(self, node: OperationNode) -> tuple[list[Binding]]:
        ((value,),) = self._inputs(node)
        definition = node.operation_def
        return ([Binding(definition.tensor_name, definition.dtype_enum, value)],)

    def _extract(self, node: OperationNode) -> tuple[list[Any]]:
        (values,) = self._inputs(node)
        return ([value[node.operation_def.keys] for value in values],)

    def _accumulate(self, node: OperationNode) -> tuple[Elements]:
        mine = [reading for reading in self._readings if reading.operation is node]
        self._read(mine[0])
        if mine[0].part is None:
            return (mine[0].accumulation.result(),)
        return ([{reading.part: reading.accumulation.result()[0] for reading in mine}],)

    def _read(self, reading: Reading) -> None:
        """Read the rows, unless they were read in this phase, for all of the phase's readings."""
        if reading.phase in self._phases_read:
            return
        self._phases_read.add(reading.phase)
        together = [other for other in self._readings if other.phase == reading.phase]
        (saved_model,) = self._output(reading.applied.inputs[0])
        self._rows.feed(together, saved_model)

    def _decode_cache(self, node: OperationNode) -> tuple[list[Any]]:
        definition = node.operation_def
        pattern = self._caches[definition.dataset_key].get(definition.cache_key)
        records = analyzer_cache_files.records(pattern)
        return (analyzer_cache_files.decoded(definition.coder, records),)

    def _reserved_tokens(self, node: OperationNode) -> tuple[list[Any]]:
        from tensorflow_transform import tf_utils

        name = node.operation_def.name
        return ([tf_utils.fetch_vocabulary_reserved_tokens(self._dataflow.graph, name)],)

    def _write_vocabulary(self, node: OperationNode) -> tuple[list[Any]]:
        counts, *reserved = self._inputs(node)
        definition = node.operation_def
        path = vocabularies.write(
            counts if isinstance(counts, Counts) else vocabularies.counts_of(counts),
            definition,
            os.path.join(self._temporary, definition.vocab_filename),
            list(reserved[0][0]) if reserved else [],
        )
        return ([np.array(path)],)


def _in_phases(_: OperationNode) -> tuple[list[Any]]:
    """Leave the rows to the operations that accumulate something of them."""
    return ([],)
