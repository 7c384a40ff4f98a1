"""DistributionValidator: is the data still distributed as it was, or as other data is?"""

from __future__ import annotations

from penstock import Input, Output, component
from penstock.artifacts import ExampleAnomalies, ExampleStatistics
from penstock.data.results.anomalies import (
    BLESSED,
    NOT_BLESSED,
    AnomaliesError,
    Anomaly,
    describe_anomalies,
    is_blessed,
    table_of,
)
from penstock.data.splits import encode_split_names, split_directory, split_names
from penstock.errors import ParameterError

# What TFX stores of a split that there was nothing to compare with.
NO_BASELINE = 2


@component(preload=("tensorflow_data_validation",))
def DistributionValidator(
    statistics: Input[ExampleStatistics],
    anomalies: Output[ExampleAnomalies],
    baseline_statistics: Input[ExampleStatistics] | None = None,
    thresholds: dict[str, float] | None = None,
    num_examples_fractions: list[float] | None = None,
    include_split_pairs: list[list[str]] | None = None,
    fail_on_anomalies: bool = False,
) -> None:
    """Compare the distributions of features, and the numbers of examples, with a baseline's.

    `thresholds` are by feature, a nested one by its path with dots, "*" for all other features of
    the baseline: the infinity norm of categories, the Jensen-Shannon divergence of numbers, 0 to 1.
    `num_examples_fractions` are the least and the most examples for each of the baseline's.
    `include_split_pairs` are pairs of a split and one of the baseline's; by default those of one
    name. Without a baseline, as in a first run, every split passes.

    Raises:
      AnomaliesError: there is an anomaly, and `fail_on_anomalies` is set; all of them are printed.
      ParameterError: there is no such pair of splits, or a threshold cannot be one.
    """
    from penstock.components.distribution_validator import in_process

    bounds = in_process.bounds_of(thresholds or {}, num_examples_fractions)
    if baseline_statistics is None:
        print("There is no baseline: every split passes.")
        passed = dict.fromkeys(split_names(statistics), NO_BASELINE)
        anomalies.set_json_value_custom_property("blessed", passed)
        return
    pairs = _pairs(statistics, baseline_statistics, include_split_pairs)
    found = {}
    for split, baseline_split in pairs:
        name = f"{split}_{baseline_split}"
        found[name] = in_process.compare(
            split_directory(statistics.uri, split),
            split_directory(baseline_statistics.uri, baseline_split),
            bounds,
            anomalies.uri,
            name,
        )
    anomalies.split_names = encode_split_names(list(found))
    anomalies.span = statistics.span
    blessed = {name: BLESSED if is_blessed(each) else NOT_BLESSED for name, each in found.items()}
    anomalies.set_json_value_custom_property("blessed", blessed)
    described = {name: describe_anomalies(each) for name, each in found.items()}
    stops = fail_on_anomalies and any(described.values())
    # An error is in the node's log, with the anomalies.
    in_process.report(found, {} if stops else described)
    if stops:
        raise _distributions_differ(described)


def _pairs(
    statistics: ExampleStatistics,
    baseline: ExampleStatistics,
    wanted: list[list[str]] | None,
) -> list[tuple[str, str]]:
    splits, baseline_splits = split_names(statistics), split_names(baseline)
    has = f"the statistics are of {splits}, those of the baseline of {baseline_splits}"
    for pair in wanted or ():
        if len(pair) != 2 or pair[0] not in splits or pair[1] not in baseline_splits:
            raise ParameterError(
                f"expected pairs of a split and one of the baseline's as include_split_pairs, got "
                f"{pair}: {has}"
            )
    asked = {(split, other) for split, other in wanted or ()}
    every = [(split, other) for split in splits for other in baseline_splits]
    pairs = [pair for pair in every if (pair in asked if asked else pair[0] == pair[1])]
    if not pairs:
        raise ParameterError(
            f"expected splits of the same names to compare, but {has}",
            hint='Name pairs: include_split_pairs=[["train", "eval"]].',
        )
    return pairs


def _distributions_differ(described: dict[str, list[Anomaly]]) -> AnomaliesError:
    count = sum(map(len, described.values()))
    pairs = [name for name, anomalies in described.items() if anomalies]
    return AnomaliesError(
        f"expected data that is distributed as the baseline is, but found {count} "
        f"{'anomaly' if count == 1 else 'anomalies'} in {', '.join(pairs)}:\n\n"
        f"{table_of(described)}",
        anomalies=described,
        hint="If the data is wrong, fix it where it comes from and run again. If it is right, take "
        "another baseline, or raise the thresholds.",
    )
