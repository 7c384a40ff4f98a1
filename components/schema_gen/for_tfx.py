"""The work of TFX's SchemaGen, by TFDV's functions as TFX calls them."""

from __future__ import annotations

from dataclasses import dataclass

from penstock.authoring.standing_in import TfxNode, stands_in_for
from penstock.components.schema_gen.schema_file import write_schema
from penstock.data.results.statistics import read_statistics
from penstock.data.splits import split_directory, split_names
from penstock.errors import DataError


@dataclass(frozen=True)
class Parameters:
    """What may be set of TFX's SchemaGen."""

    infer_feature_shape: bool = True
    exclude_splits: list[str] | None = None


@stands_in_for(
    "tfx.components.schema_gen.executor.Executor", preload=("tensorflow_data_validation",)
)
def Executor(node: TfxNode, parameters: Parameters) -> None:
    """Infer a schema from the first split and update it by the others.

    Our SchemaGen would make optional what has no values in a split; TFX deprecates it.
    """
    import tensorflow_data_validation as tfdv

    statistics = node.input("statistics")
    schema = None
    for split in split_names(statistics):
        if split in (parameters.exclude_splits or ()):
            continue
        of_split = read_statistics(split_directory(statistics.uri, split))
        # An empty schema counts as none, as in TFX.
        if not schema:
            schema = tfdv.infer_schema(of_split, parameters.infer_feature_shape)
        else:
            schema = tfdv.update_schema(schema, of_split, parameters.infer_feature_shape)
    if schema is None:
        raise DataError("the statistics have no split that is not excluded", path=statistics.uri)
    write_schema(schema, node.output("schema").uri)
