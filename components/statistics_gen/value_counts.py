"""Exact counts of distinct values, for the most frequent values and the number of unique ones.

TFDV counts exactly on Beam and approximately (within 16,384 values) in memory; this counts
exactly in memory, with Arrow, until a feature's distinct values outgrow it.
"""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc
from tensorflow_data_validation import StatsOptions
from tensorflow_data_validation.arrow import arrow_util
from tensorflow_data_validation.types import FeaturePath
from tensorflow_data_validation.utils import schema_util, stats_util, top_k_uniques_stats_util
from tensorflow_metadata.proto.v0 import statistics_pb2
from tfx_bsl.arrow import array_util

# Rows of counts to gather before they are merged; merging costs one hash table.
_MERGE_ROWS = 262_144

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

    def add(self, values: pa.Array, weights: pa.Array | None) -> None:
        if weights is None:
            counted = values.value_counts()
            table = pa.table({"value": counted.field(0), "count": counted.field(1)})
        else:
            ones = pa.array([1], pa.int64()).take(pa.array([0] * len(values), pa.int64()))
            table = pa.table({"value": values, "count": ones, "weight": weights})
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
            self._merged = _sum_by_value(pa.concat_tables(tables))
        return self._merged.num_rows if self._merged is not None else 0

    def top(self, by: str, rows: int) -> list[top_k_uniques_stats_util.FeatureValueCount]:
        """Return the values with the largest counts or weights, larger values first in a tie."""
        merged = self._merged
        if merged is None or by not in merged.column_names:
            return []
        order = [(by, "descending"), ("value", "descending")]
        top = merged.take(
            pc.select_k_unstable(merged, k=min(rows, merged.num_rows), sort_keys=order)
        )
        pairs = zip(top.column("value").to_pylist(), top.column(by).to_pylist(), strict=True)
        return [top_k_uniques_stats_util.FeatureValueCount(value, count) for value, count in pairs]


def _sum_by_value(table: pa.Table) -> pa.Table:
    summed = [name for name in table.column_names if name != "value"]
    grouped = table.group_by("value").aggregate([(name, "sum") for name in summed])
    # The order of the aggregated columns differs between versions of Arrow; their names do not.
    columns = {"value": grouped.column("value").combine_chunks()}
    columns.update({name: grouped.column(f"{name}_sum") for name in summed})
    return pa.table(columns)
