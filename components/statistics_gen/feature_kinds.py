"""What the features of a split hold, file by file: TFDV's accumulators take one type of each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from penstock.errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa

# By the kinds that a feature has values of, the first file where it has them.
Kinds = dict[str, dict[str, str]]


def watched(batches: Iterable[pa.RecordBatch], file: str, kinds: Kinds) -> Iterator[pa.RecordBatch]:
    """Note in `kinds` what the features of batches of a file hold.

    Raises:
      DataError: a feature had another kind of values before.
    """
    for batch in batches:
        add(kinds, {field.name: {kind: file} for field in batch.schema if (kind := _kind(field))})
        yield batch


def add(kinds: Kinds, further: Mapping[str, Mapping[str, str]]) -> None:
    """Note what features hold in further files; raises DataError if one holds two kinds."""
    for name, files in further.items():
        known = kinds.setdefault(name, {})
        for kind, file in files.items():
            known.setdefault(kind, file)
        if len(known) > 1:
            (kind, file), (other, other_file) = sorted(known.items(), key=lambda item: item[1])
            where = "the same file" if file == other_file else file
            raise DataError(
                f"feature {name!r} has {other} here and {kind} in {where}, and a feature has one "
                "type in all examples of a split",
                path=other_file,
                hint="Write the records with one type for each feature.",
            )


def _kind(field: pa.Field) -> str:
    """Return what a column of lists holds, "" for nothing, or for what has parts of its own."""
    import pyarrow as pa

    kind = field.type
    if not pa.types.is_list(kind) and not pa.types.is_large_list(kind):
        return ""
    value = kind.value_type
    if pa.types.is_integer(value):
        return "integers"
    if pa.types.is_floating(value):
        return "fractions"
    return "bytes" if pa.types.is_binary(value) or pa.types.is_large_binary(value) else ""
