"""The work of TFX's ExampleValidator, by TFDV's function as TFX calls it."""

from __future__ import annotations

from dataclasses import dataclass

from penstock.authoring.standing_in import TfxNode, stands_in_for
from penstock.components.schema_gen.schema_file import read_schema
from penstock.data.results.anomalies import write_anomalies
from penstock.data.results.statistics import read_statistics
from penstock.data.splits import encode_split_names, split_directory, split_names


@dataclass(frozen=True)
class Parameters:
    """What may be set of TFX's ExampleValidator."""

    exclude_splits: list[str] | None = None
    custom_validation_config: None = None


@stands_in_for(
    "tfx.components.example_validator.executor.Executor", preload=("tensorflow_data_validation",)
)
def Executor(node: TfxNode, parameters: Parameters) -> None:
    """Compare the statistics of every split with the schema.

    Our ExampleValidator says more of some anomalies; here they are in TFDV's words alone.
    """
    import tensorflow_data_validation as tfdv

    statistics, anomalies = node.input("statistics"), node.output("anomalies")
    schema = read_schema(node.input("schema").uri)
    splits = [s for s in split_names(statistics) if s not in (parameters.exclude_splits or ())]
    blessed = {}
    for split in splits:
        found = tfdv.validate_statistics(
            read_statistics(split_directory(statistics.uri, split)), schema
        )
        write_anomalies(found, split_directory(anomalies.uri, split))
        has_any = bool(found.anomaly_info) or found.HasField("dataset_anomaly_info")
        blessed[split] = int(not has_any)
    anomalies.split_names = encode_split_names(splits)
    anomalies.span = statistics.span
    if blessed:
        anomalies.set_json_value_custom_property("blessed", blessed)
