"""What one evaluation is to do, in plain paths and values, the same for each engine."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from penstock.authoring.node_context import NodeContext
from penstock.data.coding.required import with_required
from penstock.data.data_files import is_parquet
from penstock.data.records import read_record_batches, read_serialized_batches, rebatch

if TYPE_CHECKING:
    import pyarrow
    from tensorflow_metadata.proto.v0 import schema_pb2
    from tensorflow_model_analysis import EvalConfig, EvalSharedModel
    from tfx_bsl.tfxio.tensor_adapter import TensorAdapterConfig

# Models are asked for predictions in batches of this many rows.
BATCH_ROWS = 2_000


@dataclass(frozen=True)
class Job:
    """One evaluation of a model, or of a candidate and a baseline, on the rows of some files.

    `extractors_fn` is the user's `custom_extractors`. `tells_undefined` gives NaN where there is no
    curve for an area to be under; without it that is 0, as TFMA has it.
    """

    files: Sequence[str]
    eval_config: EvalConfig
    models: Sequence[EvalSharedModel]
    output_directory: str
    schema: schema_pb2.Schema | None = None
    extractors_fn: Callable[..., Any] | None = None
    tells_undefined: bool = True
    progress: Callable[..., None] = NodeContext().progress

    @property
    def model_or_models(self) -> Any:
        """The models as TFMA's functions take them: one, or a list."""
        return self.models[0] if len(self.models) == 1 else list(self.models)

    def tensor_adapter_config(self) -> TensorAdapterConfig | None:
        """Return how the columns of a batch become tensors, where the schema says so."""
        import tensorflow_model_analysis as tfma
        from tfx_bsl.tfxio.tensor_adapter import TensorAdapterConfig
        from tfx_bsl.tfxio.tf_example_record import TFExampleBeamRecord

        if self.schema is None:
            return None
        tfxio = TFExampleBeamRecord(
            physical_format="inmem",
            telemetry_descriptors=["Evaluator"],
            schema=self.schema,
            raw_record_column_name=tfma.ARROW_INPUT_COLUMN,
        )
        return TensorAdapterConfig(
            arrow_schema=tfxio.ArrowSchema(),
            tensor_representations=tfxio.TensorRepresentations(),
        )

    def extractors(self) -> Any:
        """Return the user's extractors, or None for TFMA's own."""
        if self.extractors_fn is None:
            return None
        return self.extractors_fn(
            eval_shared_model=self.model_or_models,
            eval_config=self.eval_config,
            tensor_adapter_config=self.tensor_adapter_config(),
        )


def read_batches(
    file: str, schema: schema_pb2.Schema | None, batch_rows: int = BATCH_ROWS
) -> Iterator[pyarrow.RecordBatch]:
    """Yield the rows of a file with their columns and, as TFMA's input, the serialized examples."""
    import tensorflow_model_analysis as tfma
    from tfx_bsl.coders.example_coder import ExamplesToRecordBatchDecoder
    from tfx_bsl.tfxio.record_based_tfxio import AppendRawRecordColumn

    decoder = ExamplesToRecordBatchDecoder(*([schema.SerializeToString()] if schema else []))
    decoded = (
        AppendRawRecordColumn(decoder.DecodeBatch(records), tfma.ARROW_INPUT_COLUMN, records)
        for records in read_records(file, batch_rows)
    )
    yield from with_required(decoded, schema, file)


def read_records(file: str, batch_rows: int = BATCH_ROWS) -> Iterator[list[bytes]]:
    """Yield the serialized examples of a file, those of a Parquet file made for the purpose."""
    if not is_parquet(file):
        yield from rebatch(read_serialized_batches(file), batch_rows)
        return
    from tfx_bsl.coders.example_coder import RecordBatchToExamplesEncoder

    for batch in read_record_batches(file, batch_rows=batch_rows):
        yield RecordBatchToExamplesEncoder().encode(batch)
