"""Exact counts of distinct values, for the most frequent values and the number of unique ones.

TFDV counts exactly on Beam and approximately (beyond 16,384 values) in memory; this counts
exactly in memory, with Arrow. A feature whose distinct values outgrow it goes on in sketches.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from tensorflow_data_validation import StatsOptions, constants
from tensorflow_data_validation.arrow import arrow_util
from tensorflow_data_validation.types import FeaturePath
from tensorflow_data_validation.utils import schema_util, stats_util, top_k_uniques_stats_util
from tensorflow_data_validation.utils.top_k_uniques_stats_util import FeatureValueCount
from tensorflow_metadata.proto.v0 import statistics_pb2
from tfx_bsl.arrow import array_util
from tfx_bsl.sketches import KmvSketch, MisraGriesSketch

# Rows of counts to gather before they are merged; merging costs one hash table.
_MERGE_ROWS = 262_144

# Memory for the distinct values of one feature, beyond which they are sketched.
EXACT_BYTES = 256 << 20
# The sizes that TFDV gives to its own sketches of values.
_SKETCH_BUCKETS = 16_384
_LARGE_STRING_BYTES = 1024

Accumulator = dict[FeaturePath, "_Counts"]


class ExactValueCounts:
    """Counts the values of categorical features; has the methods of a combiner of TFDV.

    Weights, bytes features and numeric categories follow the options' schema as in TFDV's own
    `TopKUniquesStatsGenerator`, whose results these are.
    """

    def __init__(self, options: StatsOptions) -> None:
        self._options = options
        schema = options.schema
        self._bytes_features = frozenset(schema_util.get_bytes_features(schema) if schema else [])
        self._categorical_numbers = (
            schema_util.get_categorical_numeric_feature_types(schema) if schema else {}
        )

    def create_accumulator(self) -> Accumulator:
        """Return counts of nothing."""
        return {}

    def add_input(self, accumulator: Accumulator, batch: pa.RecordBatch) -> Accumulator:
        """Count the values of a batch."""
        for path, column, weights in arrow_util.enumerate_arrays(
            batch, self._options.example_weight_map, enumerate_leaves_only=True
        ):
            if not self._counts(path, column.type):
                continue
            values, parents = array_util.flatten_nested(column, weights is not None)
            counts = accumulator.setdefault(path, _Counts())
            counts.add(
                values, None if weights is None else pa.array(weights[parents], pa.float64())
            )
        return accumulator

    def merge_accumulators(self, accumulators: Iterable[Accumulator]) -> Accumulator:
        """Add the counts of all accumulators to those of the first, which is returned."""
        merged, *others = accumulators
        for other in others:
            for path, counts in other.items():
                merged.setdefault(path, _Counts()).add_counts(counts)
        return merged

    def compact(self, accumulator: Accumulator) -> Accumulator:
        """Merge what was gathered."""
        for counts in accumulator.values():
            counts.merge()
        return accumulator

    def extract_output(self, accumulator: Accumulator) -> statistics_pb2.DatasetFeatureStatistics:
        """Return string statistics of every feature that has values."""
        options = self._options
        rows = max(options.num_top_values, options.num_rank_histogram_buckets)
        statistics = statistics_pb2.DatasetFeatureStatistics()
        for path, counts in accumulator.items():
            distinct = counts.merge()
            if not distinct:
                continue
            if counts.sketched:
                logging.getLogger(__name__).warning(
                    "The distinct values of feature %s need more than %d MB: their number and "
                    "the most frequent ones are approximate.",
                    path,
                    EXACT_BYTES >> 20,
                )
            statistics.features.append(
                top_k_uniques_stats_util.make_feature_stats_proto_topk_uniques(
                    feature_path=path,
                    num_top_values=options.num_top_values,
                    num_rank_histogram_buckets=options.num_rank_histogram_buckets,
                    num_unique=distinct,
                    value_count_list=counts.top("count", rows),
                    weighted_value_count_list=counts.top("weight", rows),
                    frequency_threshold=options.frequency_threshold,
                    weighted_frequency_threshold=options.weighted_frequency_threshold,
                )
            )
        return statistics

    def _counts(self, path: FeaturePath, arrow_type: pa.DataType) -> bool:
        kind = stats_util.get_feature_type_from_arrow_type(path, arrow_type)
        if path in self._bytes_features:
            return False
        if kind == statistics_pb2.FeatureNameStatistics.STRING:
            return True
        return (
            kind == statistics_pb2.FeatureNameStatistics.INT
            and top_k_uniques_stats_util.output_categorical_numeric(
                self._categorical_numbers, path, kind
            )
        )


class _Counts:
    """The counts (and weights) of one feature's values: a merged table and what came since."""

    def __init__(self) -> None:
        self._merged: pa.Table | None = None
        self._pending: list[pa.Table] = []
        self._pending_rows = 0
        self._sketches: _Sketches | None = None

    @property
    def sketched(self) -> bool:
        """Whether the counts are approximate."""
        return self._sketches is not None

    def add(self, values: pa.Array, weights: pa.Array | None) -> None:
        """Count values, whose weights, if any, are in the same order."""
        if weights is None:
            counted = values.value_counts()
            table = pa.table({"value": counted.field(0), "count": counted.field(1)})
        else:
            ones = pa.array(np.ones(len(values), np.int64))
            table = pa.table({"value": values, "count": ones, "weight": weights})
        self._append(table)

    def add_counts(self, other: _Counts) -> None:
        """Add what was counted elsewhere."""
        other.merge()
        if other._sketches is not None:
            self.merge()
            self._sketch(other._sketches.weighted).merge(other._sketches)
        elif other._merged is not None:
            self._append(other._merged)

    def _append(self, table: pa.Table) -> None:
        self._pending.append(table)
        self._pending_rows += table.num_rows
        distinct = self._merged.num_rows if self._merged is not None else 0
        if self._pending_rows > max(_MERGE_ROWS, distinct):
            self.merge()

    def merge(self) -> int:
        """Merge what is pending and return the number of distinct values."""
        if self._pending:
            tables = [*([self._merged] if self._merged is not None else []), *self._pending]
            self._pending, self._pending_rows = [], 0
            merged = _sum_by_value(pa.concat_tables(tables))
            self._merged = merged
            if self._sketches is not None or merged.nbytes > EXACT_BYTES:
                self._sketch("weight" in merged.column_names)
        if self._sketches is not None:
            return self._sketches.distinct()
        return self._merged.num_rows if self._merged is not None else 0

    def _sketch(self, weighted: bool) -> _Sketches:
        """Put what is merged into sketches, and return them."""
        if self._sketches is None:
            self._sketches = _Sketches(weighted)
        if self._merged is not None:
            self._sketches.add(self._merged)
            self._merged = None
        return self._sketches

    def top(self, by: str, rows: int) -> list[FeatureValueCount]:
        """Return the values with the largest counts or weights, larger values first in a tie."""
        if self._sketches is not None:
            return self._sketches.top(by)
        merged = self._merged
        if merged is None or by not in merged.column_names:
            return []
        order = [(by, "descending"), ("value", "descending")]
        top = merged.take(
            pc.select_k_unstable(merged, k=min(rows, merged.num_rows), sort_keys=order)
        )
        pairs = zip(top.column("value").to_pylist(), top.column(by).to_pylist(), strict=True)
        return [FeatureValueCount(value, count) for value, count in pairs]


class _Sketches:
    """Approximate counts of a feature with more distinct values than memory should hold."""

    def __init__(self, weighted: bool) -> None:
        self._distinct = KmvSketch(_SKETCH_BUCKETS)
        self._top = {
            by: MisraGriesSketch(
                num_buckets=_SKETCH_BUCKETS,
                invalid_utf8_placeholder=constants.NON_UTF8_PLACEHOLDER,
                large_string_threshold=_LARGE_STRING_BYTES,
                large_string_placeholder=constants.LARGE_BYTES_PLACEHOLDER,
            )
            for by in (("count", "weight") if weighted else ("count",))
        }

    def add(self, merged: pa.Table) -> None:
        values = merged.column("value").chunk(0)
        self._distinct.AddValues(values)
        for by, sketch in self._top.items():
            sketch.AddValues(values, merged.column(by).cast(pa.float32()).combine_chunks())

    @property
    def weighted(self) -> bool:
        return "weight" in self._top

    def merge(self, other: _Sketches) -> None:
        self._distinct.Merge(other._distinct)
        for by, sketch in self._top.items():
            sketch.Merge(other._top[by])

    def distinct(self) -> int:
        return int(self._distinct.Estimate())

    def top(self, by: str) -> list[FeatureValueCount]:
        if by not in self._top:
            return []
        pairs = self._top[by].Estimate().to_pylist()
        return [FeatureValueCount(pair["values"], pair["counts"]) for pair in pairs]


def _sum_by_value(table: pa.Table) -> pa.Table:
    summed = [name for name in table.column_names if name != "value"]
    grouped = table.group_by("value").aggregate([(name, "sum") for name in summed])
    # The order of the aggregated columns differs between versions of Arrow; their names do not.
    columns = {"value": grouped.column("value").combine_chunks()}
    columns.update({name: grouped.column(f"{name}_sum") for name in summed})
    return pa.table(columns)
