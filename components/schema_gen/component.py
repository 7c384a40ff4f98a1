"""SchemaGen: a first schema from the statistics of the data."""

from __future__ import annotations

from penstock import Input, Output, component
from penstock.artifacts import ExampleStatistics, Schema
from penstock.components.schema_gen.schema_file import write_schema
from penstock.data.splits import split_directory, split_names
from penstock.errors import DataError


@component(preload=("tensorflow_data_validation",), system_type="process")
def SchemaGen(
    statistics: Input[ExampleStatistics],
    schema: Output[Schema],
    infer_feature_shape: bool = True,
    exclude_splits: list[str] | None = None,
) -> None:
    """Infer one schema from the statistics of all splits.

    With `infer_feature_shape`, a feature that always has the same number of values gets a fixed
    shape and is dense in Transform; without, every feature is sparse.

    Raises:
      DataError: no split with examples is left.
    """
    from penstock.components.schema_gen import in_process

    excluded = set(exclude_splits or ())
    splits = [split for split in split_names(statistics) if split not in excluded]
    if not splits:
        raise DataError(
            f"expected statistics of a split that is not excluded, but the splits are "
            f"{split_names(statistics)} and exclude_splits is {sorted(excluded)}",
            path=statistics.uri,
            hint="Take a split off exclude_splits.",
        )
    directories = {split: split_directory(statistics.uri, split) for split in splits}
    write_schema(in_process.infer_schema(directories, infer_feature_shape), schema.uri)
