"""The data files of a split's folder, by TFX's names; nothing here reads their contents."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable

from penstock.errors import DataError

PREFIX = "data_tfrecord"
PARQUET_PREFIX = "data_parquet"
_SHARD = re.compile(r"(?P<prefix>.+)-\d{5}-of-(?P<shards>\d{5})(?P<suffix>.*)")


# What Spark, Hive, Delta Lake, Hudi and Databricks leave beside data files, and folders of theirs.
_MARKERS = frozenset(
    {
        "_SUCCESS",
        "_FAILURE",
        "_common_metadata",
        "_delta_log",
        "_logs",
        "_metadata",
        "_spark_metadata",
        "_temporary",
    }
)
_MARKER_PREFIXES = ("_committed_", "_started_", "_HIVE_", "_impala_insert_staging", "_tmp.")


def is_data(name: str) -> bool:
    """Return whether a file is data, by its path in a folder of data: neither hidden nor a marker.

    A hidden folder is one that its user has named, so its files are data.
    """
    *folders, base = name.split("/")
    return not base.startswith(".") and not any(map(_is_marker, (*folders, base)))


def _is_marker(name: str) -> bool:
    return name in _MARKERS or name.startswith(_MARKER_PREFIXES)


def shard_name(prefix: str, shard: int, shards: int, suffix: str = ".gz") -> str:
    """Return the name of a shard as TFX and Beam write it: `prefix-00000-of-00001.gz`."""
    return f"{prefix}-{shard:05d}-of-{shards:05d}{suffix}"


def missing_shards(names: Iterable[str]) -> list[str]:
    """Return the names of the shards that files, by their names, should have beside them."""
    names = set(names)
    named = [match for match in map(_SHARD.fullmatch, names) if match]
    expected = {
        shard_name(match["prefix"], shard, int(match["shards"]), match["suffix"])
        for match in named
        for shard in range(int(match["shards"]))
    }
    return sorted(expected - names)


def record_files(directory: str) -> list[str]:
    """Return the data files of a split's folder, sorted; hidden and temporary files are not data.

    Raises:
      DataError: there is no such folder, or it holds no data files.
    """
    if not os.path.isdir(directory):
        raise DataError("expected a folder of records, found none", path=directory)
    files = sorted(
        entry.path
        for entry in os.scandir(directory)
        if entry.is_file() and not entry.name.startswith((".", "_"))
    )
    if not files:
        raise DataError("expected records, found an empty folder", path=directory)
    return files


def is_parquet(path: str) -> bool:
    """Whether a file is Parquet, by its name."""
    return path.endswith(".parquet")
