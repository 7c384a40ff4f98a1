"""Analysis by tf.Transform's own Beam transforms, on whatever runner a pipeline has."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator
from typing import Any

from penstock.components.transform.analyzer_cache_files import check_manifest
from penstock.components.transform.job import RAW_METADATA, Job
from penstock.components.transform.outputs import checking
from penstock.components.transform.rows import read_rows
from penstock.safety import unpickling


def write_raw_metadata(job: Job) -> None:
    """Write the schema of the rows before the transformation into the graph's directory."""
    from tensorflow_transform.tf_metadata import dataset_metadata, metadata_io

    metadata_io.write_metadata(
        dataset_metadata.DatasetMetadata(job.stated_schema),
        os.path.join(job.graph_directory, RAW_METADATA),
    )


def analyze_without_data(job: Job) -> None:
    """Write the graph of a preprocessing_fn that has no analyzers."""
    from tensorflow_transform import impl_helper
    from tensorflow_transform.tf_metadata import schema_utils

    impl_helper.analyze_in_place(
        checking(job.preprocessing_fn, is_analyzed=True),
        job.force_tf_compat_v1,
        schema_utils.schema_as_feature_spec(job.stated_schema).feature_spec,
        job.type_specs(),
        job.graph_directory,
    )


def analyze_on_beam(job: Job, pipeline: Any) -> None:
    """Run the analyzers in a Beam pipeline and write the graph, and the analyzer cache if asked.

    Cached results of data sets are used as far as the cache has them for these analyzers.
    """
    from tensorflow_transform import beam as tft_beam
    from tensorflow_transform.beam import analyzer_cache

    temporary = job.temporary_directory
    tfxio = job.tfxio().Project(job.columns.analyzed)
    keys = {analyzer_cache.DatasetKey(name): name for name in job.analyze_files}
    context = tft_beam.Context(
        temp_dir=temporary,
        force_tf_compat_v1=job.force_tf_compat_v1,
    )
    with pipeline as p, context:
        cache, needed = _read_cache(job, p, list(keys))
        rows = {key: _rows(job, p, name) if key in needed else None for key, name in keys.items()}
        transform_fn, new_cache = (
            rows,
            cache,
            tfxio.TensorAdapterConfig(),
        ) | tft_beam.AnalyzeDatasetWithCache(job.preprocessing_fn, pipeline=p)
        _ = transform_fn | tft_beam.WriteTransformFn(job.graph_directory)
        if job.updated_cache_directory and new_cache:
            _ = new_cache | analyzer_cache.WriteAnalysisCacheToFS(
                pipeline=p, cache_base_dir=job.updated_cache_directory, dataset_keys=list(keys)
            )
    keep_cache(job)
    shutil.rmtree(temporary, ignore_errors=True)


def _rows(job: Job, pipeline: Any, name: str) -> Any:
    """Return the rows of a data set as a PCollection of Arrow record batches."""
    import apache_beam as beam
    import pyarrow

    from penstock.data.beam.watching import Watched

    schema = job.projected_schema(job.columns.analyzed)
    payload_format = job.payload_format

    def read(file: str) -> Iterator[pyarrow.RecordBatch]:
        return read_rows([file], schema, payload_format)

    return (
        pipeline
        | f"Files[{name}]" >> beam.Create(list(job.analyze_files[name]))
        # Without it one worker would read all files.
        | f"Spread[{name}]" >> beam.Reshuffle()
        | f"Rows[{name}]" >> beam.FlatMap(read).with_output_types(pyarrow.RecordBatch)
        | f"Watch[{name}]" >> Watched(job.graph_directory, pyarrow.RecordBatch)
    )


def _read_cache(job: Job, pipeline: Any, keys: list[Any]) -> tuple[Any, list[Any]]:
    """Return the cache to analyze with, and the data sets that must still be read."""
    from tensorflow_transform import beam as tft_beam
    from tensorflow_transform.beam import analyzer_cache

    if not job.cache_directory:
        return ({} if job.updated_cache_directory else None), keys
    unpickling.guard()
    for key in keys:
        check_manifest(os.path.join(job.cache_directory, key.key))
    arguments = (job.preprocessing_fn, job.type_specs(), keys)
    builder = tft_beam.analysis_graph_builder
    entries = builder.get_analysis_cache_entry_keys(*arguments, job.force_tf_compat_v1)
    cache = pipeline | analyzer_cache.ReadAnalysisCacheFromFS(
        job.cache_directory, keys, cache_entry_keys=entries
    )
    return cache, builder.get_analysis_dataset_keys(*arguments, cache, job.force_tf_compat_v1)


def keep_cache(job: Job) -> None:
    """Carry over what the old cache has of the data sets and the new one lacks."""
    from tensorflow_transform.beam.analyzer_cache import DatasetKey

    if not (job.cache_directory and job.updated_cache_directory):
        return
    for name in job.analyze_files:
        folder = DatasetKey(name).key
        old = os.path.join(job.cache_directory, folder)
        new = os.path.join(job.updated_cache_directory, folder)
        if os.path.isdir(old) and not os.path.isdir(new):
            shutil.copytree(old, new)


def dataset_key(directory: str) -> str:
    """Return the key under which TFX caches the analysis of a split's directory."""
    pattern = os.path.join(directory, "*")
    suffix = os.path.join(*pattern.split(os.sep)[-6:])
    return f"{suffix}-{hashlib.sha256(pattern.encode()).hexdigest()}"
