"""Statistics before and after a transformation, computed beside it."""

from __future__ import annotations

import json
import os
import queue
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from penstock.components.transform.job import Job
from penstock.data.results.statistics import write_statistics
from penstock.project.user_code import run

if TYPE_CHECKING:
    import pyarrow
    from tensorflow_data_validation import StatsOptions
    from tensorflow_metadata.proto.v0 import schema_pb2

    from penstock.components.statistics_gen.in_process import Accumulators

PRE_TRANSFORM = "PRE_TRANSFORM"
POST_TRANSFORM = "POST_TRANSFORM"

# Batches that may wait for the statistics before the transformation does.
_WAITING_BATCHES = 4


def options_before(job: Job) -> StatsOptions:
    """Return TFDV's options for the rows before the transformation."""
    import tensorflow_data_validation as tfdv

    return _updated(job, PRE_TRANSFORM, tfdv.StatsOptions(schema=_copy(job.schema)))


def options_after(job: Job) -> StatsOptions:
    """Return TFDV's options for the transformed rows; they know the vocabularies."""
    import tensorflow_data_validation as tfdv
    import tensorflow_transform as tft

    schema = _copy(tft.TFTransformOutput(job.graph_directory).transformed_metadata.schema)
    if job.traced_schema:
        _forget_what_was_analyzed(schema)
    options = tfdv.StatsOptions(schema=schema, vocab_paths=_vocabularies(job))
    return _updated(job, POST_TRANSFORM, options)


def _forget_what_was_analyzed(schema: schema_pb2.Schema) -> None:
    """Take out what tf.Transform adds once data are analyzed: ranges, and notes of analyzers."""
    schema.ClearField("annotation")
    for feature in schema.feature:
        feature.ClearField("annotation")
        if feature.HasField("int_domain"):
            feature.int_domain.ClearField("min")
            feature.int_domain.ClearField("max")


def _vocabularies(job: Job) -> dict[str, str]:
    """Return the vocabulary files of the graph by the names that preprocessing_fn gave them."""
    asset_map = Path(job.graph_directory, "transformed_metadata", "asset_map")
    if not asset_map.is_file():
        return {}
    assets = Path(job.graph_directory, "transform_fn", "assets")
    return {key: str(assets / name) for key, name in json.loads(asset_map.read_text()).items()}


def _copy(schema: schema_pb2.Schema) -> schema_pb2.Schema:
    # Users' functions may change the schema that they get.
    copy = type(schema)()
    copy.CopyFrom(schema)
    return copy


def _updated(job: Job, stats_type: str, options: StatsOptions) -> StatsOptions:
    if job.stats_options_updater_fn is None:
        return options
    from tfx.components.transform.stats_options_util import StatsType

    return run(job.stats_options_updater_fn, StatsType[stats_type], options)


class Collector:
    """Accumulates batches that are handed over one by one, in a thread of its own."""

    def __init__(self, options: StatsOptions) -> None:
        self.options = options
        self._waiting: queue.Queue[pyarrow.RecordBatch | None] = queue.Queue(_WAITING_BATCHES)
        self._result: Accumulators = {}
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._compute, daemon=True)
        self._thread.start()

    def add(self, batch: pyarrow.RecordBatch) -> None:
        """Hand a batch over; waits while others are ahead of it."""
        self._waiting.put(batch)

    def finish(self) -> Accumulators:
        """Return the accumulators of all batches."""
        self.stop()
        if self._error is not None:
            raise self._error
        return self._result

    def stop(self) -> None:
        """End the thread."""
        if self._thread.is_alive():
            self._waiting.put(None)
            self._thread.join()

    def _compute(self) -> None:
        from penstock.components.statistics_gen.in_process import accumulated

        try:
            self._result = accumulated(iter(self._waiting.get, None), self.options)
        except BaseException as error:
            self._error = error
            for _ in iter(self._waiting.get, None):
                pass


@contextmanager
def collecting(options: Sequence[StatsOptions | None]) -> Iterator[list[Collector | None]]:
    """Give a collector for each of some options, None for None; they end with the block."""
    collectors = [None if one is None else Collector(one) for one in options]
    try:
        yield collectors
    finally:
        for collector in collectors:
            if collector is not None:
                collector.stop()


def write_before(job: Job, statistics: Any, options: StatsOptions) -> None:
    """Write the statistics of the rows before the transformation, and their schema."""
    assert job.statistics is not None
    write_statistics(statistics, job.statistics.pre_transform_stats)
    _write_schema(options, job.statistics.pre_transform_schema)


def write_after(job: Job, statistics: Any, options: StatsOptions) -> None:
    """Write the statistics of the transformed rows, their schema, and how they differ."""
    import tensorflow_data_validation as tfdv

    assert job.statistics is not None
    write_statistics(statistics, job.statistics.post_transform_stats)
    _write_schema(options, job.statistics.post_transform_schema)
    if options.schema is not None:
        anomalies = tfdv.validate_statistics(statistics, options.schema)
        path = os.path.join(job.statistics.post_transform_anomalies, "SchemaDiff.pb")
        with open(path, "wb") as file:
            file.write(anomalies.SerializeToString())


def _write_schema(options: StatsOptions, directory: str) -> None:
    from google.protobuf import text_format

    if options.schema is not None:
        with open(os.path.join(directory, "schema.pbtxt"), "w") as file:
            file.write(text_format.MessageToString(options.schema))
