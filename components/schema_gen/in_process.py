"""SchemaGen's work: TFDV infers a schema from one split and widens it by the others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from penstock.data.results.statistics import example_count, read_statistics
from penstock.errors import DataError

if TYPE_CHECKING:
    from tensorflow_metadata.proto.v0 import schema_pb2


def infer_schema(
    directory_by_split: Mapping[str, str], infer_feature_shape: bool = True
) -> schema_pb2.Schema:
    """Infer one schema that all splits' statistics conform to.

    A split without examples says nothing about features and is left out; TFDV would otherwise
    lose every feature's shape when it comes first.

    Raises:
      DataError: all are empty.
    """
    import tensorflow_data_validation as tfdv

    schema = None
    for split, directory in directory_by_split.items():
        statistics = read_statistics(directory)
        if not example_count(statistics):
            print(f"Split {split!r} has no examples and says nothing about the schema.")
        elif schema is None:
            schema = tfdv.infer_schema(statistics, infer_feature_shape=infer_feature_shape)
        else:
            schema = tfdv.update_schema(schema, statistics)
    if schema is None:
        raise DataError(
            f"expected statistics of at least one example to infer a schema from, but the splits "
            f"{list(directory_by_split)} have none",
            hint="Check the input of the example generator.",
        )
    return schema
