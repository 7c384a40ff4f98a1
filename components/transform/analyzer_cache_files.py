"""The files of tf.Transform's analyzer cache: a folder a data set, a file an entry.

A manifest tells the numbers of the entries' files; the files are TFRecords of what cache coders
made of accumulators.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from penstock.components.transform.vocabularies import Counts
from penstock.data.records import read_serialized, write_serialized
from penstock.safety import unpickling

if TYPE_CHECKING:
    from tensorflow_transform.analyzer_nodes import CacheCoder
    from tensorflow_transform.beam.analyzer_cache import DatasetCache, DatasetKey

_METADATA = "METADATA"


def read(directory: str | None, datasets: Iterable[DatasetKey]) -> dict[DatasetKey, DatasetCache]:
    """Return the entries of the data sets: the file patterns of their records, by key.

    Raises:
      DataError: a manifest is more than data, or broken.
    """
    from tensorflow_transform.beam import analyzer_cache

    caches: dict[DatasetKey, DatasetCache] = {}
    if directory is None:
        return caches
    # Some entries are pickles, which are loaded where an operation asks for them.
    unpickling.guard()
    for dataset in datasets:
        folder = os.path.join(directory, dataset.key)
        if manifest := check_manifest(folder):
            files = {key: os.path.join(folder, f"{int(n)}-*-of-*") for key, n in manifest.items()}
            caches[dataset] = analyzer_cache.DatasetCache(files, None)
    return caches


def check_manifest(folder: str) -> dict[bytes, int]:
    """Return a manifest, if there is one.

    Raises:
      DataError: it is more than data; tf.Transform would go on without.
    """
    path = os.path.join(folder, "MANIFEST")
    if not os.path.exists(path):
        return {}
    with open(path, "rb") as file:
        manifest: dict[bytes, int] = unpickling.loads(file.read(), path=path)
    return manifest


def records(pattern: str) -> Iterator[bytes]:
    """Yield the records of an entry."""
    return read_serialized(sorted(glob.glob(pattern)))


def write(
    directory: str, dataset: DatasetKey, entries: Mapping[bytes, Iterable[bytes]], data_bytes: int
) -> None:
    """Write the entries of a data set that has so many bytes in memory."""
    from tensorflow_transform.beam import analyzer_cache

    folder = os.path.join(directory, dataset.key)
    for number, encoded in enumerate(entries.values()):
        write_serialized(folder, str(number), encoded)
    metadata = analyzer_cache.DatasetCacheMetadata(data_bytes).encode()
    write_serialized(folder, _METADATA, [metadata], suffix="")
    with analyzer_cache._ManifestFile(folder) as manifest:
        manifest.write({key: number for number, key in enumerate(entries)})


def encoded(coder: CacheCoder, elements: Any) -> Iterator[bytes]:
    """Yield the records of an accumulator's elements."""
    if not isinstance(elements, Counts):
        yield from map(coder.encode_cache, elements)
        return
    pairs = zip(elements.tokens.to_pylist(), elements.values.tolist(), strict=True)
    yield from map(coder.encode_cache, pairs)


def decoded(coder: CacheCoder, encoded_elements: Iterable[bytes]) -> Any:
    """Return an accumulator's elements from their records."""
    return [coder.decode_cache(record) for record in encoded_elements]
