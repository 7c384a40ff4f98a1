"""StatisticsGen without Beam: TFDV's combiners over batches of rows, on this machine.

Files are read in parts, each into accumulators of its own, and these are merged in the order of
the files. Parts of a large input are read by several processes at once. What the parts are depends
on the files alone, so that the statistics do not depend on the machine.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from penstock.authoring.beam import BeamOptions
from penstock.components.statistics_gen import feature_kinds
from penstock.components.statistics_gen.options import reason_for_beam, statistics_options
from penstock.components.statistics_gen.rows import check_payload_format, read_batches, sampled
from penstock.data.parallel.choosing import LARGE_BYTES
from penstock.data.parallel.file_groups import file_bytes, file_groups
from penstock.data.parallel.rows_done import RowsDone
from penstock.data.parallel.workers import LocalWorkers
from penstock.data.results.statistics import write_statistics
from penstock.data.splits import split_directory

if TYPE_CHECKING:
    import pyarrow as pa
    from tensorflow_data_validation import StatsOptions
    from tensorflow_metadata.proto.v0 import schema_pb2, statistics_pb2

# Files are put together until they have this many bytes: each part's accumulators are merged.
PART_BYTES = 4 << 20

# Of every slice, by its name, the accumulators of all combiners.
Accumulators = dict[str, list[Any]]
_Result = tuple[Accumulators, feature_kinds.Kinds]


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
    on Beam's local runner.

    Raises:
      ParameterError: the options do not hold together.
      DataError: a file cannot be read.
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
    parts = _parts(files_by_split)
    counted = RowsDone(progress)
    rates = {
        split: (sample_rate_by_split or {}).get(split, options.sample_rate) or 1.0
        for split in files_by_split
    }
    accumulate = partial(_accumulated_part, options, payload_format, rates)
    is_small = sum(part.size for part in parts) <= LARGE_BYTES
    with (beam or BeamOptions()).workers() as workers:
        results: Iterator[_Result]
        if is_small and isinstance(workers, LocalWorkers):
            results = (accumulate(part, counted.add) for part in parts)
        else:
            results = workers.map(accumulate, parts, named=_Part.described, advance=counted.add)
        for split, merging in _merged(parts, results, options):
            write_statistics(merging.statistics(), split_directory(statistics_uri, split))


def _accumulated_part(
    options: StatsOptions,
    payload_format: str,
    rates: Mapping[str, float],
    part: _Part,
    advance: Callable[[int], None],
) -> _Result:
    kinds: feature_kinds.Kinds = {}
    batches = _watched(
        read_batches(part.files, payload_format, options.feature_allowlist, kinds), advance
    )
    rows = sampled(batches, rates[part.split], part.seed_text)
    return accumulated(rows, options), kinds


@dataclass(frozen=True)
class _Part:
    """Files of a split that are read by one process; parts are numbered within their split."""

    split: str
    number: int
    files: tuple[str, ...]
    size: int

    @property
    def seed_text(self) -> str:
        """What the sample is drawn by: the split, and the number of further parts."""
        return f"{self.split}/{self.number}" if self.number else self.split

    def described(self) -> str:
        """Return what a process does with the part."""
        files = " and ".join([self.files[0], *self.files[1:][-1:]]) if self.files else "no files"
        return f"describe {files}" if len(self.files) < 3 else f"describe {files} and those between"


def _parts(files_by_split: Mapping[str, Sequence[str]]) -> list[_Part]:
    """Return the parts of all splits, the largest first, so that the last are soon done."""
    parts = []
    for split, files in files_by_split.items():
        # A split without files has statistics too.
        groups = file_groups(files, PART_BYTES) or [()]
        parts += [
            _Part(split, number, group, sum(map(file_bytes, group)))
            for number, group in enumerate(groups)
        ]
    return sorted(parts, key=lambda part: -part.size)


def _merged(
    parts: Sequence[_Part], results: Iterable[_Result], options: StatsOptions
) -> Iterator[tuple[str, Merging]]:
    """Yield the accumulators of every split, merged in the order of its parts."""
    counts = Counter(part.split for part in parts)
    done = dict.fromkeys(counts, 0)
    waiting: dict[tuple[str, int], Accumulators] = {}
    of_split = {split: Merging(options) for split in counts}
    kinds: dict[str, feature_kinds.Kinds] = {split: {} for split in counts}
    for part, (result, kinds_of_part) in zip(parts, results, strict=True):
        split = part.split
        feature_kinds.add(kinds[split], kinds_of_part)
        waiting[split, part.number] = result
        while (split, done[split]) in waiting:
            of_split[split].add(waiting.pop((split, done[split])))
            done[split] += 1
        if done[split] == counts[split]:
            yield split, of_split.pop(split)


class Merging:
    """Statistics of parts of the rows, whose accumulators are added in the order of the parts."""

    def __init__(self, options: StatsOptions) -> None:
        self.options = options
        self._combiners = _combiners(options)
        self._merged: Accumulators = {}

    def add(self, further: Accumulators) -> None:
        """Add those of a further part, which may be changed by that."""
        for slice_key, accumulators in further.items():
            if slice_key in self._merged:
                pairs = zip(self._combiners, self._merged[slice_key], accumulators, strict=True)
                accumulators = [
                    combiner.compact(combiner.merge_accumulators(pair)) for combiner, *pair in pairs
                ]
            self._merged[slice_key] = accumulators

    def statistics(self) -> statistics_pb2.DatasetFeatureStatisticsList:
        """Return the statistics of all parts."""
        from tensorflow_metadata.proto.v0 import statistics_pb2

        statistics = statistics_pb2.DatasetFeatureStatisticsList()
        for slice_key, accumulators in self._merged.items():
            statistics.datasets.append(_extract(self._combiners, accumulators, slice_key))
        if not statistics.datasets:
            statistics.datasets.add()
        return statistics


def statistics_of_batches(
    batches: Iterable[pa.RecordBatch], options: StatsOptions
) -> statistics_pb2.DatasetFeatureStatisticsList:
    """Compute the statistics of all batches together, a batch at a time.

    Memory holds one batch and TFDV's sketches, and the distinct values of categorical features.
    No batch, or only empty ones, gives one data set of zero examples, as TFDV on Beam does.
    """
    merging = Merging(options)
    merging.add(accumulated(batches, options))
    return merging.statistics()


def accumulated(batches: Iterable[pa.RecordBatch], options: StatsOptions) -> Accumulators:
    """Return the combiners' compacted accumulators of every slice that there is."""
    combiners = _combiners(options)
    accumulators: Accumulators = {}
    for slice_key, batch in _sliced(_selected(batches, options), options):
        if slice_key not in accumulators:
            accumulators[slice_key] = [combiner.create_accumulator() for combiner in combiners]
        accumulators[slice_key] = [
            combiner.add_input(accumulator, batch)
            for combiner, accumulator in zip(combiners, accumulators[slice_key], strict=True)
        ]
    return {
        slice_key: [
            combiner.compact(accumulator)
            for combiner, accumulator in zip(combiners, of_slice, strict=True)
        ]
        for slice_key, of_slice in accumulators.items()
    }


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


def _selected(batches: Iterable[pa.RecordBatch], options: StatsOptions) -> Iterable[pa.RecordBatch]:
    """Keep the columns of the options' allowlist."""
    from penstock.data.coding.columns import select

    names = options.feature_allowlist
    return (select(batch, names, absent=False) for batch in batches) if names else batches


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
        combiner.extract_output(accumulator)
        for combiner, accumulator in zip(combiners, accumulators, strict=True)
    ]
    merged = merge_util.merge_dataset_feature_statistics(outputs).datasets[0]
    if slice_key:
        merged.name = slice_key
    return merged


def _watched(
    batches: Iterable[pa.RecordBatch], advance: Callable[[int], None]
) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        yield batch
        advance(batch.num_rows)
