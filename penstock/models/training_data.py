"""The rows of a split as training code wants them: Arrow, pandas, NumPy, PyTorch, or batches."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from penstock.data.coding.columns import is_list
from penstock.data.records import read_record_batches
from penstock.errors import DataError, suggestion
from penstock.models.predictions import array_of, matrix_of
from penstock.models.transforming.fitted import FittedFeatures

if TYPE_CHECKING:
    from tensorflow_metadata.proto.v0 import schema_pb2

DEFAULT_BATCH_ROWS = 10_000

# By the numbers of tensorflow_metadata's FeatureType: BYTES, INT and FLOAT.
_SCHEMA_TYPES: Mapping[int, pa.DataType] = {1: pa.string(), 2: pa.int64(), 3: pa.float32()}


@dataclass(frozen=True)
class TrainingData:
    """The examples of some splits as rows with a value a column.

    Integers are int64, other numbers float32, as tf.Examples have them, and bytes are text where
    they are UTF-8. A column is one of lists where the schema says that it has several values, or,
    without a word of a schema, where a row has several.
    """

    files: tuple[str, ...]
    schema: schema_pb2.Schema | None = field(default=None, repr=False)

    def batches(
        self, rows: int = DEFAULT_BATCH_ROWS, columns: Sequence[str] | None = None
    ) -> Iterator[pa.RecordBatch]:
        """Yield the rows in batches of at most `rows`; no more than a few are in memory at a time.

        What no schema says of a column, its first batch does.

        Raises:
          DataError: a later batch has lists where the first has values, or bytes where the first
            has text.
        """
        kinds: dict[str, pa.DataType] = {}
        for batch in self._read(rows, columns):
            yield as_rows(batch, kinds, self.schema)

    def as_arrow(self, columns: Sequence[str] | None = None) -> pa.Table:
        """Return all rows as a table, or some columns of it.

        Raises:
          DataError: there is no such column.
        """
        batches = list(self._read(DEFAULT_BATCH_ROWS, columns))
        if not batches:
            return pa.table({})
        names = list(dict.fromkeys(name for batch in batches for name in batch.schema.names))
        table: dict[str, pa.ChunkedArray] = {}
        for name in names:
            parts = [
                batch.column(index)
                if (index := batch.schema.get_field_index(name)) >= 0
                else pa.nulls(batch.num_rows)
                for batch in batches
            ]
            kind = _type_of(name, parts, self.schema)
            table[name] = pa.chunked_array([_as(part, kind, name) for part in parts], kind)
        return pa.table(table).combine_chunks()

    def as_pandas(self, columns: Sequence[str] | None = None) -> Any:
        """Return all rows as a data frame; whole numbers with missing values become floats."""
        return self.as_arrow(columns).to_pandas()

    def as_numpy(self, columns: Sequence[str] | None = None) -> dict[str, Any]:
        """Return the columns as arrays of shape (rows,), or (rows, size) for lists of one size.

        Numbers that are missing are NaN, and texts that are missing None.
        """
        table = self.as_arrow(columns)
        return {name: array_of(table, name) for name in table.schema.names}

    def as_torch_dataset(
        self,
        inputs: FittedFeatures | Sequence[str],
        label: str,
        *,
        classes: Sequence[Any] | None = None,
    ) -> Any:
        """Return a `TensorDataset` of a float32 matrix of the inputs, and the labels.

        Labels are the numbers of `classes` where these are given, else float32.

        Raises:
          DataError: an input is no number, or a label none of the classes.
        """
        import torch

        table = self.as_arrow()
        rows = inputs.transform(table) if isinstance(inputs, FittedFeatures) else table
        names = inputs.outputs if isinstance(inputs, FittedFeatures) else inputs
        matrix = torch.from_numpy(matrix_of(rows, names, np.float32))
        labels = array_of(table, label)
        if classes is not None:
            return torch.utils.data.TensorDataset(
                matrix, torch.from_numpy(class_numbers(table, label, classes))
            )
        return torch.utils.data.TensorDataset(matrix, torch.from_numpy(labels.astype(np.float32)))

    def __len__(self) -> int:
        return sum(batch.num_rows for batch in self._read(DEFAULT_BATCH_ROWS, None))

    def _read(self, rows: int, columns: Sequence[str] | None) -> Iterator[pa.RecordBatch]:
        batches = read_record_batches(self.files, rows, columns=columns, absent=False)
        for batch in batches:
            if columns is not None:
                missing = [name for name in columns if batch.schema.get_field_index(name) < 0]
                if missing:
                    raise self._no_column(missing[0])
            yield batch

    def _no_column(self, name: str) -> DataError:
        names = next(read_record_batches(self.files, 1)).schema.names
        return DataError(
            f"the examples have no column {name!r}",
            path=self.files[0],
            column=name,
            hint=suggestion(name, names, noun="column"),
        )


def as_rows(
    batch: pa.RecordBatch, kinds: MutableMapping[str, pa.DataType], schema: Any = None
) -> pa.RecordBatch:
    """Return decoded examples as rows with a value a column; see `TrainingData`.

    `kinds` has the types of columns that earlier batches had, and gets those of new ones.
    """
    arrays = []
    for name, array in zip(batch.schema.names, batch.columns, strict=True):
        if name not in kinds or pa.types.is_null(kinds[name]):
            kinds[name] = _type_of(name, [array], schema)
        arrays.append(_as(array, kinds[name], name))
    return pa.RecordBatch.from_arrays(arrays, names=batch.schema.names)


def class_numbers(table: pa.Table, label: str, classes: Sequence[Any]) -> Any:
    """Return the labels of rows as numbers of classes, an int64 array.

    Raises:
      DataError: a label is none of the classes; the error names the row.
    """
    column = table.column(label)
    known = pa.array(list(classes)).cast(column.type)
    numbers = pc.index_in(column, known)
    if numbers.null_count:
        row = int(pc.index(pc.is_null(numbers), True).as_py())
        raise DataError(
            f"row {row}: expected one of the classes {', '.join(map(repr, classes))}, got "
            f"{column[row].as_py()!r}",
            column=label,
        )
    return numbers.to_numpy().astype(np.int64)


def _type_of(name: str, arrays: Sequence[pa.Array], schema: Any) -> pa.DataType:
    feature = next((f for f in schema.feature if f.name == name), None) if schema else None
    kinds = [array.type for array in arrays if not pa.types.is_null(array.type)]
    if not kinds:
        return _SCHEMA_TYPES.get(feature.type, pa.float32()) if feature else pa.null()
    values = _common_type(name, {kind.value_type for kind in kinds})
    if pa.types.is_large_binary(values) and all(map(_is_text, arrays)):
        values = pa.string()
    elif pa.types.is_large_binary(values):
        values = pa.binary()
    several = _has_several(feature)
    if several is None:
        several = any((pc.max(pc.list_value_length(a)).as_py() or 0) > 1 for a in _lists(arrays))
    return pa.list_(values) if several else values


def _common_type(name: str, kinds: set[pa.DataType]) -> pa.DataType:
    """Return the type of values of batches: whole and other numbers together are floats."""
    if kinds == {pa.int64(), pa.float32()}:
        return pa.float32()
    if len(kinds) > 1:
        raise DataError(
            f"the column has values of {len(kinds)} types: {', '.join(sorted(map(str, kinds)))}",
            column=name,
            hint="Make them one type where the examples are made.",
        )
    (kind,) = kinds
    return kind


def _has_several(feature: Any) -> bool | None:
    """Return whether a schema says that a feature may have several values; None if it is silent."""
    if feature is None:
        return None
    if feature.HasField("shape"):
        sizes = [dimension.size for dimension in feature.shape.dim]
        return any(size != 1 for size in sizes)
    if feature.HasField("value_count"):
        return bool(feature.value_count.max != 1)
    return None


def _lists(arrays: Sequence[pa.Array]) -> list[pa.Array]:
    return [array for array in arrays if is_list(array.type)]


def _is_text(array: pa.Array) -> bool:
    if pa.types.is_null(array.type):
        return True
    try:
        array.flatten().cast(pa.large_string())
    except pa.ArrowInvalid:
        return False
    return True


def _as(array: pa.Array, kind: pa.DataType, name: str) -> pa.Array:
    """Return an array of feature lists as values, or lists, of a type."""
    if pa.types.is_null(array.type):
        return pa.nulls(len(array), kind)
    if pa.types.is_null(kind):
        raise DataError(
            "the column has values here, and had none in earlier rows",
            column=name,
            hint="Give the Trainer a schema, which says of what type they are.",
        )
    values = array.flatten()
    wanted = kind.value_type if is_list(kind) else kind
    if values.type != wanted:
        try:
            values = values.cast(wanted)
        except pa.ArrowInvalid as error:
            raise DataError(
                f"expected {wanted} as in earlier rows, got {values.type}",
                column=name,
                hint="Give the Trainer a schema, or read all rows by as_arrow().",
            ) from error
    lengths = pc.fill_null(pc.list_value_length(array), 0).to_numpy(zero_copy_only=False)
    if is_list(kind):
        offsets = pa.array(np.concatenate([[0], np.cumsum(lengths)]), pa.int32())
        return pa.ListArray.from_arrays(offsets, values)
    if len(lengths) and int(lengths.max()) > 1:
        raise DataError(
            f"row {int(lengths.argmax())}: expected one value, got {int(lengths.max())}",
            column=name,
            hint="Let the schema say that there may be several: value_count { max: 0 }.",
        )
    if (lengths == 1).all():
        return values
    places = pa.array(np.cumsum(lengths) - 1, pa.int64(), mask=lengths == 0)
    return values.take(places)
