"""Transforms files as a worker of a run does: in a process in which TensorFlow has not started.

Its arguments are a folder to write to and how many CPUs there are. It prints how many forks it
made, and the digests of what it wrote.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from pathlib import Path
from typing import Any

ROWS, FILES = 4_000, 3


def preprocessing_fn(inputs: dict[str, Any]) -> dict[str, Any]:
    """Scale, bucketize and look up; two phases."""
    import tensorflow_transform as tft

    return {
        "fare": tft.scale_to_z_score(inputs["fare"]),
        "fare_bucket": tft.bucketize(tft.scale_to_0_1(inputs["fare"]), 7),
        "word": tft.compute_and_apply_vocabulary(inputs["word"], top_k=50),
    }


def write_rows(folder: str) -> list[str]:
    """Write the files of a split."""
    import pyarrow as pa

    from penstock.data.coding import examples
    from penstock.data.records import write_serialized

    rows = range(ROWS)
    table = pa.RecordBatch.from_pydict(
        {"fare": [row / 3 - 100 for row in rows], "word": [f"word {row % 83}" for row in rows]}
    )
    return write_serialized(folder, "data", examples.encode(table), shards=FILES)


def main(folder: str, cpus: int) -> None:
    """Transform, and print what came of it."""
    import tensorflow as tf
    from tensorflow_transform import DatasetMetadata

    from penstock.authoring.beam import BeamOptions
    from penstock.components.transform import in_process
    from penstock.components.transform.job import Job
    from penstock.data.parallel import choosing

    choosing.LARGE_BYTES = 0
    in_process._SHARD_BYTES = 1
    os.sched_getaffinity = lambda _: set(range(cpus))
    forks: list[int] = []
    fork = os.fork
    os.fork = lambda: forks.append(1) or fork()  # type: ignore[func-returns-value]
    files = write_rows(f"{folder}/rows")
    spec = {
        "fare": tf.io.FixedLenFeature([], tf.float32),
        "word": tf.io.FixedLenFeature([], tf.string),
    }
    told: list[int] = []
    job = Job(
        preprocessing_fn=preprocessing_fn,
        schema=DatasetMetadata.from_feature_spec(spec).schema,
        analyze_files={"train": files},
        pre_statistics_files={"train": files},
        transform_files={"train": files},
        graph_directory=f"{folder}/graph",
        examples_directory=f"{folder}/transformed",
        statistics=None,
        progress=lambda rows: told.append(rows),
    )
    in_process.transform(job, BeamOptions())
    written = sorted(Path(folder, "transformed").rglob("*.gz"))
    vocabularies = sorted(Path(folder, "graph", "transform_fn", "assets").iterdir())
    digests = {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in (*written, *vocabularies)
    }
    print(json.dumps({"forks": len(forks), "rows": told[-1], "digests": digests}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
