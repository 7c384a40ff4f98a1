"""What one Transform is to do, in plain paths and values, the same for each engine."""

from __future__ import annotations

import functools
import inspect
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from penstock.authoring.node_context import NodeContext
from penstock.components.transform.outputs import checking
from penstock.errors import PenstockError, suggestion
from penstock.project.user_code import error_of

if TYPE_CHECKING:
    import tensorflow
    from tensorflow_metadata.proto.v0 import schema_pb2
    from tfx_bsl.tfxio.tfxio import TFXIO

SEQUENCE_EXAMPLES = "FORMAT_TF_SEQUENCE_EXAMPLE"

# Below the directory of a TransformGraph, as tf.Transform lays it out.
RAW_METADATA = "metadata"


@dataclass(frozen=True)
class StatisticsDirectories:
    """Where the statistics before and after the transformation go, with schemas and anomalies."""

    pre_transform_schema: str
    pre_transform_stats: str
    post_transform_schema: str
    post_transform_stats: str
    post_transform_anomalies: str


@dataclass(frozen=True)
class Job:
    """One Transform.

    `analyze_files` are the files of each data set by the key of its analyzer cache;
    `transform_files` and `pre_statistics_files` are files by split. `examples_directory` and the
    two of the analyzer cache are None where they are not asked for. With `traced_schema` the
    statistics after the transformation know no more of the features than what the code says of
    them before data are analyzed, as in TFX's own Transform.
    """

    preprocessing_fn: Callable[..., Any]
    schema: schema_pb2.Schema
    analyze_files: Mapping[str, Sequence[str]]
    pre_statistics_files: Mapping[str, Sequence[str]]
    transform_files: Mapping[str, Sequence[str]]
    graph_directory: str
    examples_directory: str | None = None
    cache_directory: str | None = None
    updated_cache_directory: str | None = None
    statistics: StatisticsDirectories | None = None
    stats_options_updater_fn: Callable[..., Any] | None = None
    payload_format: str = "FORMAT_TF_EXAMPLE"
    force_tf_compat_v1: bool = False
    traced_schema: bool = False
    progress: Callable[..., None] = NodeContext().progress

    @property
    def temporary_directory(self) -> str:
        """Where an engine may leave what it needs again; it is not there when it is done."""
        return os.path.join(self.graph_directory, ".temp_path")

    def for_workers(self) -> Job:
        """Return the job as other processes get it: progress is told here, and columns are known.

        They need the graphs that were made, and not the function that they were made of.
        """
        job = replace(
            self,
            preprocessing_fn=_traced_already,
            stats_options_updater_fn=None,
            progress=NodeContext().progress,
        )
        vars(job)["columns"] = self.columns
        return job

    def tfxio(self) -> TFXIO:
        """Return how rows of all the columns in the schema become tensors."""
        from tfx_bsl.tfxio import tf_example_record, tf_sequence_example_record

        kind = tf_example_record.TFExampleBeamRecord
        if self.payload_format == SEQUENCE_EXAMPLES:
            kind = tf_sequence_example_record.TFSequenceExampleBeamRecord
        return kind(
            physical_format="inmem",
            telemetry_descriptors=["Transform"],
            schema=self.stated_schema,
        )

    def type_specs(self) -> dict[str, tensorflow.TypeSpec]:
        """Return the tensors that preprocessing_fn gets."""
        return dict(self.tfxio().TensorAdapter().OriginalTypeSpecs())

    def projected_schema(self, columns: Sequence[str]) -> schema_pb2.Schema:
        """Return the schema of rows of which only the tensors in `columns` are read."""
        from tfx_bsl.tfxio import tensor_representation_util as representations

        schema = self.stated_schema
        if self.payload_format != SEQUENCE_EXAMPLES:
            return representations.ProjectTensorRepresentationsInSchema(schema, list(columns))
        # The feature lists are in one column, which is not taken apart.
        stated = representations.GetTensorRepresentationsFromSchema(schema)
        tensors = {name: stated[name] for name in columns}
        paths = [
            path
            for tensor in tensors.values()
            for path in representations.GetSourceColumnsFromTensorRepresentation(tensor)
        ]
        wanted = {path.initial_step() for path in paths}
        projected = type(schema)()
        projected.feature.extend(f for f in schema.feature if f.name in wanted)
        representations.SetTensorRepresentationsInSchema(projected, tensors)
        return projected

    @functools.cached_property
    def stated_schema(self) -> schema_pb2.Schema:
        """The schema with all its tensors, if it states some of them or is of SequenceExamples.

        tfx_bsl finds those of the other features, but not where columns are selected, nor where
        the serving graph is told how to parse SequenceExamples.
        """
        from tfx_bsl.tfxio import tensor_representation_util as representations

        is_sequence = self.payload_format == SEQUENCE_EXAMPLES
        if not self.schema.tensor_representation_group and not is_sequence:
            return self.schema
        stated = type(self.schema)()
        stated.CopyFrom(self.schema)
        tensors = representations.InferTensorRepresentationsFromMixedSchema(stated)
        representations.SetTensorRepresentationsInSchema(stated, tensors)
        return stated

    @functools.cached_property
    def columns(self) -> Columns:
        """The tensors that preprocessing_fn uses, found by tracing it."""
        from tensorflow_transform import inspect_preprocessing_fn as inspection

        specs = self.type_specs()
        arguments = (checking(self.preprocessing_fn), specs, self.force_tf_compat_v1)
        try:
            analyzed = inspection.get_analyze_input_columns(*arguments)
            transformed = inspection.get_transform_input_columns(*arguments)
        except PenstockError:
            raise
        except Exception as error:
            function = getattr(self.preprocessing_fn, "func", self.preprocessing_fn)
            failure = error_of(function, error)
            if isinstance(error, KeyError) and error.args and error.args[0] not in specs:
                alternatives = suggestion(str(error.args[0]), specs, noun="column")
                failure.hint = (
                    f"The inputs have no column {error.args[0]!r}. {alternatives} {failure.hint}"
                )
            raise failure from error
        return Columns(sorted(analyzed), sorted(transformed))


def _traced_already(_: Mapping[str, Any]) -> Any:
    raise AssertionError("the graphs are made where the node runs")


@dataclass(frozen=True)
class Columns:
    """The names of the tensors that analyzers need and of those that the transformation needs."""

    analyzed: list[str]
    transformed: list[str]

    @property
    def used(self) -> list[str]:
        """All of them."""
        return sorted({*self.analyzed, *self.transformed})


def bind_custom_config(
    function: Callable[..., Any], custom_config: Mapping[str, Any] | None
) -> Callable[..., Any]:
    """Give a function its argument `custom_config`, if it has one, as TFX does."""
    if "custom_config" in inspect.signature(function).parameters:
        return functools.partial(function, custom_config=dict(custom_config or {}))
    return function


def shard_path(directory: str, split: str, shard: int, shards: int) -> str:
    """Return the path of a file of transformed examples, as TFX names it."""
    name = f"transformed_examples-{shard:05d}-of-{shards:05d}.gz"
    return os.path.join(directory, f"Split-{split}", name)
