"""StatisticsGen without Beam: TFDV's combiners over batches of rows, in this process."""

from __future__ import annotations

import itertools
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from penstock.beam import BeamOptions
from penstock.components.statistics_gen.options import reason_for_beam, statistics_options
from penstock.data.splits import split_directory
from penstock.data.statistics import write_statistics
from penstock.errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa
    from tensorflow_data_validation import StatsOptions
    from tensorflow_metadata.proto.v0 import schema_pb2, statistics_pb2

# Large enough for TFDV's vectorised kernels, small enough for a few megabytes a batch.
BATCH_ROWS = 20_000

# The payload formats of TFX that hold features; the others are records of a type unknown here.
PAYLOAD_FORMATS = ("FORMAT_TF_EXAMPLE", "FORMAT_TF_SEQUENCE_EXAMPLE", "FORMAT_PARQUET")

# The name that tfx_bsl and TFDV give to the sequence part of a tf.SequenceExample.
_SEQUENCE_COLUMN = "##SEQUENCE##"


def generate_statistics(
    files_by_split: Mapping[str, Sequence[str]],
    statistics_uri: str,
    *,
    payload_format: str = "FORMAT_TF_EXAMPLE",
    schema: schema_pb2.Schema | None = None,
    stats_options_json: str | None = None,
    sample_rate_by_split: Mapping[str, float] | None = None,
    progress: Callable[..., None] | None = None,
    beam: BeamOptions | None = None,
) -> None:
    """Write `Split-X/FeatureStats.pb` below `statistics_uri` for every split.

    A sample is drawn row by row, the same rows every time. Options that only Beam can serve run
    on Beam's local runner. Raises ParameterError on options that do not hold together and
    DataError on files that cannot be read.
    """
    check_payload_format(payload_format)
    options = statistics_options(stats_options_json, schema)
    reason = reason_for_beam(options)
    if reason is not None:
        from penstock.components.statistics_gen import on_beam

        print(f"Using Beam's local runner: the options ask for {reason}.")
        on_beam.generate_statistics(
            files_by_split,
            statistics_uri,
            payload_format=payload_format,
            schema=schema,
            stats_options_json=stats_options_json,
            sample_rate_by_split=sample_rate_by_split,
            progress=progress,
            beam=beam or BeamOptions(),
        )
        return
    counted = _Rows(progress)
    for split, files in files_by_split.items():
        rate = (sample_rate_by_split or {}).get(split, options.sample_rate) or 1.0
        batches = counted.watch(read_batches(files, payload_format))
        statistics = statistics_of_batches(sampled(batches, rate, split), options)
        write_statistics(statistics, split_directory(statistics_uri, split))


def check_payload_format(payload_format: str) -> None:
    """Raise DataError on a payload that has no features to describe."""
    if payload_format not in PAYLOAD_FORMATS:
        raise DataError(
            f"Expected examples with the payload {', '.join(PAYLOAD_FORMATS)}, "
            f"but it is {payload_format}",
            hint="Write them as tf.Example with an example generator.",
        )


def read_batches(files: Sequence[str], payload_format: str) -> Iterator[pa.RecordBatch]:
    """Read the rows of a split's files as TFDV wants them: columns of lists."""
    if not files:
        return iter(())
    if payload_format == "FORMAT_TF_SEQUENCE_EXAMPLE":
        return _read_sequence_examples(files)
    from penstock.data.records import read_record_batches

    return read_record_batches(files, batch_rows=BATCH_ROWS)


def _read_sequence_examples(files: Sequence[str]) -> Iterator[pa.RecordBatch]:
    from tfx_bsl.coders.sequence_example_coder import SequenceExamplesToRecordBatchDecoder

    from penstock.data.records import read_serialized

    decoder = SequenceExamplesToRecordBatchDecoder(_SEQUENCE_COLUMN)
    records = read_serialized(files)
    while batch := list(itertools.islice(records, BATCH_ROWS)):
        yield decoder.DecodeBatch(batch)


def sampled(
    batches: Iterable[pa.RecordBatch], rate: float, seed_text: str = ""
) -> Iterator[pa.RecordBatch]:
    """Keep each row with probability `rate`; equal seeds keep equal rows."""
    import numpy as np
    import pyarrow as pa

    generator = np.random.default_rng(zlib.crc32(seed_text.encode()))
    for batch in batches:
        if rate >= 1.0:
            yield batch
            continue
        kept = np.flatnonzero(generator.random(batch.num_rows) < rate)
        table = pa.Table.from_batches([batch]).take(pa.array(kept)).combine_chunks()
        yield from table.to_batches()


def statistics_of_batches(
    batches: Iterable[pa.RecordBatch], options: StatsOptions
) -> statistics_pb2.DatasetFeatureStatisticsList:
    """Compute the statistics of all batches together, a batch at a time.

    Memory holds one batch and TFDV's sketches, and the distinct values of categorical features.
    No batch, or only empty ones, gives one data set of zero examples, as TFDV on Beam does.
    """
    from tensorflow_metadata.proto.v0 import statistics_pb2

    statistics = statistics_pb2.DatasetFeatureStatisticsList()
    combiners = _combiners(options)
    accumulators: dict[str, list[Any]] = {}
    for slice_key, batch in _sliced(_selected(batches, options), options):
        if slice_key not in accumulators:
            accumulators[slice_key] = [combiner.create_accumulator() for combiner in combiners]
        accumulators[slice_key] = [
            combiner.add_input(accumulator, batch)
            for combiner, accumulator in zip(combiners, accumulators[slice_key], strict=True)
        ]
    for slice_key, slice_accumulators in accumulators.items():
        statistics.datasets.append(_extract(combiners, slice_accumulators, slice_key))
    if not statistics.datasets:
        statistics.datasets.add()
    return statistics


def _combiners(options: StatsOptions) -> list[Any]:
    """Return TFDV's combiners for the options, with its sketch of values made exact."""
    from tensorflow_data_validation.statistics import stats_impl
    from tensorflow_data_validation.statistics.generators import (
        top_k_uniques_sketch_stats_generator as sketches,
    )

    from penstock.components.statistics_gen.value_counts import ExactValueCounts

    combiners = stats_impl.get_generators(options, in_memory=True)
    if options.use_sketch_based_topk_uniques:
        return combiners
    return [
        ExactValueCounts(options)
        if isinstance(combiner, sketches.TopKUniquesSketchStatsGenerator)
        else combiner
        for combiner in combiners
    ]


def _selected(batches: Iterable[pa.RecordBatch], options: StatsOptions) -> Iterator[pa.RecordBatch]:
    """Keep the columns of the options' allowlist."""
    import pyarrow as pa

    for batch in batches:
        if not options.feature_allowlist:
            yield batch
            continue
        names = [name for name in options.feature_allowlist if name in batch.schema.names]
        columns = [batch.column(batch.schema.get_field_index(name)) for name in names]
        yield pa.RecordBatch.from_arrays(columns, names)


def _sliced(
    batches: Iterable[pa.RecordBatch], options: StatsOptions
) -> Iterator[tuple[str, pa.RecordBatch]]:
    """Pair every batch with its slice; without slices the one slice has no name."""
    from tensorflow_data_validation.utils import slicing_util

    functions = list(options.experimental_slice_functions or ())
    if options.slicing_config is not None:
        functions = _slice_functions(options.slicing_config)
    for batch in batches:
        if functions:
            yield from slicing_util.generate_slices(
                batch, [slicing_util.default_slicer, *functions]
            )
        else:
            yield "", batch


def _slice_functions(slicing_config: Any) -> list[Any]:
    from tensorflow_data_validation.utils import slicing_util

    if hasattr(slicing_util, "convert_slicing_config_to_slice_functions"):
        return list(slicing_util.convert_slicing_config_to_slice_functions(slicing_config))
    # Before TFDV 1.21 there were slices given as SQL beside them.
    functions, _ = slicing_util.convert_slicing_config_to_slice_functions_and_sqls(slicing_config)
    return list(functions)


def _extract(
    combiners: Sequence[Any], accumulators: Sequence[Any], slice_key: str
) -> statistics_pb2.DatasetFeatureStatistics:
    from tfx_bsl.statistics import merge_util

    outputs = [
        combiner.extract_output(combiner.compact(accumulator))
        for combiner, accumulator in zip(combiners, accumulators, strict=True)
    ]
    merged = merge_util.merge_dataset_feature_statistics(outputs).datasets[0]
    if slice_key:
        merged.name = slice_key
    return merged


class _Rows:
    """Reports how many rows have gone by, over all splits."""

    def __init__(self, progress: Callable[..., None] | None) -> None:
        self._progress = progress
        self._rows = 0

    def watch(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            yield batch
            self._rows += batch.num_rows
            if self._progress is not None:
                self._progress(rows=self._rows)
