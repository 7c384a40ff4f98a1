"""The graphs of preprocessing_fn that an analysis makes: one a phase, and the one to put out."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from penstock.components.transform.outputs import checking

if TYPE_CHECKING:
    from penstock.components.transform.dataflow import Dataflow
    from penstock.components.transform.job import Job


@dataclass(frozen=True)
class Binding:
    """The output of an analyzer, to stand in the graph for a tensor."""

    tensor: str
    dtype: int
    value: Any


def write_graph(
    job: Job,
    dataflow: Dataflow,
    bindings: Sequence[Binding],
    outputs: Mapping[str, Any],
    directory: str,
    temporary: str,
    preprocessing_fn: Callable[..., Any] | None = None,
) -> None:
    """Write preprocessing_fn, by default the job's, with bindings as a SavedModel.

    Its outputs are those of the function if all analyzers are bound, and else the tensors named.
    """
    import tensorflow as tf
    from tensorflow_transform import impl_helper

    dense = all(isinstance(tensor, tf.Tensor) for tensor in outputs.values())
    impl_helper.trace_and_write_v2_saved_model(
        directory,
        preprocessing_fn or job.preprocessing_fn,
        dataflow.type_specs,
        temporary,
        dataflow.analyzers_fingerprint,
        {
            binding.tensor: tf.constant(binding.value, tf.dtypes.as_dtype(binding.dtype))
            for binding in bindings
        },
        {name: tensor.name for name, tensor in outputs.items()} if dense else {},
        None,
    )


def write_transform_graph(
    job: Job,
    dataflow: Dataflow,
    bindings: Sequence[Binding],
    outputs: Mapping[str, Any],
    temporary: str,
) -> None:
    """Write the graph to put out, its schema and its vocabularies' names, as tf.Transform does."""
    from tensorflow_transform import TFTransformOutput, impl_helper

    graph = os.path.join(job.graph_directory, TFTransformOutput.TRANSFORM_FN_DIR)
    metadata = os.path.join(job.graph_directory, TFTransformOutput.TRANSFORMED_METADATA_DIR)
    function = checking(job.preprocessing_fn, is_analyzed=True)
    write_graph(job, dataflow, bindings, outputs, graph, temporary, function)
    os.rename(os.path.join(graph, impl_helper.METADATA_DIR_NAME), metadata)
    if dataflow.asset_map:
        with open(os.path.join(metadata, TFTransformOutput.ASSET_MAP), "w") as file:
            json.dump(dict(dataflow.asset_map), file)
