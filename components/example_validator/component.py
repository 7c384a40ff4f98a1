"""ExampleValidator: does the data conform to its schema, and is it still the same data?"""

from __future__ import annotations

import json

from penstock import Input, Output, component
from penstock.artifacts import ExampleAnomalies, ExampleStatistics, Schema
from penstock.components.schema_gen.schema_file import read_schema, schema_path
from penstock.data.ingestion import TEXTS_PROPERTY
from penstock.data.results.anomalies import (
    BLESSED,
    NOT_BLESSED,
    AnomaliesError,
    Anomaly,
    is_blessed,
    table_of,
)
from penstock.data.splits import encode_split_names, split_directory, split_names
from penstock.errors import DataError


@component(preload=("tensorflow_data_validation",))
def ExampleValidator(
    statistics: Input[ExampleStatistics],
    schema: Input[Schema],
    anomalies: Output[ExampleAnomalies],
    previous_statistics: Input[ExampleStatistics] | None = None,
    serving_statistics: Input[ExampleStatistics] | None = None,
    exclude_splits: list[str] | None = None,
    environment: str | None = None,
    drift_thresholds: dict[str, float] | None = None,
    skew_thresholds: dict[str, float] | None = None,
    fail_on_anomalies: bool = False,
) -> None:
    """Compare the statistics of every split with the schema, and with other statistics.

    Drift is measured against `previous_statistics` and skew against `serving_statistics`, split
    by split of the same name, for the features whose schema has a comparator or that have an
    entry in `drift_thresholds` or `skew_thresholds`: the infinity norm of categories, the
    Jensen-Shannon divergence of numbers, 0 to 1, "*" for all other features.
    `environment` is one of the schema's, to leave out what it does not expect.

    Raises:
      AnomaliesError: there is an anomaly, and `fail_on_anomalies` is set; all of them are printed.
      ParameterError: the schema does not have an environment or a feature.
    """
    from penstock.components.example_validator import in_process

    excluded = set(exclude_splits or ())
    splits = [split for split in split_names(statistics) if split not in excluded]
    if not splits:
        raise DataError(
            f"expected statistics of a split that is not excluded, but the splits are "
            f"{split_names(statistics)} and exclude_splits is {sorted(excluded)}",
            path=statistics.uri,
            hint="Take a split off exclude_splits.",
        )
    anomalies_of_splits = in_process.validate_splits(
        {split: split_directory(statistics.uri, split) for split in splits},
        read_schema(schema.uri),
        anomalies.uri,
        previous=_directories(previous_statistics),
        serving=_directories(serving_statistics),
        environment=environment,
        drift_thresholds=drift_thresholds,
        skew_thresholds=skew_thresholds,
    )
    anomalies.split_names = encode_split_names(splits)
    anomalies.span = statistics.span
    anomalies.set_json_value_custom_property(
        "blessed",
        {
            split: BLESSED if is_blessed(anomalies_of_splits[split]) else NOT_BLESSED
            for split in splits
        },
    )
    texts = json.loads(statistics.get_string_custom_property(TEXTS_PROPERTY) or "{}")
    described = in_process.describe(anomalies_of_splits, schema.uri, texts)
    stops = fail_on_anomalies and any(described.values())
    # An error is in the node's log, with the anomalies.
    in_process.report(anomalies_of_splits, {} if stops else described)
    if stops:
        raise anomalies_found(described, schema_path(schema.uri))


def anomalies_found(described: dict[str, list[Anomaly]], schema_file: str) -> AnomaliesError:
    """Return the error that lists all anomalies and says what can be done."""
    count = sum(len(anomalies) for anomalies in described.values())
    splits = [split for split, anomalies in described.items() if anomalies]
    return AnomaliesError(
        f"expected data that conforms to its schema, but found {count} "
        f"{'anomaly' if count == 1 else 'anomalies'} in {', '.join(splits)}:\n\n"
        f"{table_of(described)}",
        anomalies=described,
        hint="If the data is wrong, fix it where it comes from and run again. If the data is "
        f"right, edit the file that ImportSchemaGen reads; without one, keep a copy of the schema "
        f"({schema_file}) with your code, edit it, and bring it in with "
        "ImportSchemaGen(schema_file=...).",
    )


def _directories(statistics: ExampleStatistics | None) -> dict[str, str] | None:
    if statistics is None:
        return None
    return {split: split_directory(statistics.uri, split) for split in split_names(statistics)}
