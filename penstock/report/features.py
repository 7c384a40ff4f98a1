"""Statistics, drift and anomalies of features, as StatisticsGen and ExampleValidator wrote them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from penstock.data.results.anomalies import (
    Anomaly,
    Measurement,
    anomalies_directory,
    describe_anomalies,
    describe_measurements,
    read_anomalies,
)
from penstock.data.results.statistics import (
    example_count,
    feature_name,
    of_all_examples,
    read_statistics,
)
from penstock.data.splits import split_directory
from penstock.errors import PenstockError
from penstock.metadata.reading import ArtifactRecord
from penstock.report.charts import Bar
from penstock.report.wording import quantity, share
from penstock.safety import bounded

_MOST_CATEGORIES = 10
_TYPE_NAMES = {0: "integer", 1: "number", 2: "text", 3: "bytes", 4: "structure"}


@dataclass(frozen=True)
class SplitStatistics:
    """A feature in one split.

    `facts` are names and values to read; `bars` what is drawn, and `labels` their names: the
    categories, or "from a to b".
    """

    split: str
    count: int
    missing: int
    facts: Mapping[str, str] = field(default_factory=dict)
    bars: tuple[Bar, ...] = ()
    labels: tuple[str, ...] = ()
    is_categorical: bool = False


@dataclass(frozen=True)
class Feature:
    """A feature in all splits, with what was found about it."""

    name: str
    kind: str
    splits: tuple[SplitStatistics, ...] = ()
    drift: tuple[tuple[str, Measurement], ...] = ()
    anomalies: tuple[tuple[str, Anomaly], ...] = ()

    @property
    def worst_drift(self) -> float:
        """The largest drift or skew in terms of its threshold; 0 where nothing was measured."""
        ratios = [m.value / m.threshold if m.threshold else m.value for _, m in self.drift]
        return max(ratios, default=0.0)

    @property
    def domain(self) -> tuple[float, float]:
        """The bounds that all splits are drawn in."""
        bars = [bar for split in self.splits for bar in split.bars]
        return (
            min((bar.low for bar in bars), default=0.0),
            max((bar.high for bar in bars), default=1.0),
        )


@dataclass(frozen=True)
class Findings:
    """What was found about data; `problems` say which artifacts could not be read."""

    features: tuple[Feature, ...] = ()
    examples: Mapping[str, int] = field(default_factory=dict)
    anomalies: tuple[tuple[str, Anomaly], ...] = ()
    has_anomalies_artifact: bool = False
    problems: tuple[str, ...] = ()


def find(
    statistics: Iterable[ArtifactRecord], anomalies: Iterable[ArtifactRecord] = ()
) -> Findings:
    """Read statistics and anomalies; those with anomalies come first, then those that drifted."""
    problems: list[str] = []
    by_feature: dict[str, list[SplitStatistics]] = {}
    kinds: dict[str, str] = {}
    examples: dict[str, int] = {}
    for artifact in statistics:
        for split in _splits(artifact, problems):
            try:
                statistics_of_split = read_statistics(split_directory(artifact.uri, split))
            except (PenstockError, OSError) as error:
                problems.append(str(error))
                continue
            examples[split] = example_count(statistics_of_split)
            for feature in of_all_examples(statistics_of_split).features:
                name = feature_name(feature.path, feature.name)
                kinds.setdefault(name, _TYPE_NAMES.get(feature.type, "other"))
                by_feature.setdefault(name, []).append(_of_split(split, feature))
    listed: list[tuple[str, Anomaly]] = []
    measured: list[tuple[str, Measurement]] = []
    has_artifact = False
    for artifact in anomalies:
        has_artifact = True
        for split in _splits(artifact, problems):
            try:
                message = read_anomalies(anomalies_directory(artifact.uri, split))
            except (PenstockError, OSError) as error:
                problems.append(str(error))
                continue
            listed += [(split, anomaly) for anomaly in describe_anomalies(message)]
            measured += [(split, measurement) for measurement in describe_measurements(message)]
    mentioned = [a.feature for _, a in listed if a.feature] + [m.feature for _, m in measured]
    names = list(dict.fromkeys([*by_feature, *mentioned]))
    drift: dict[str, list[tuple[str, Measurement]]] = {}
    for split, measurement in measured:
        drift.setdefault(measurement.feature, []).append((split, measurement))
    of_feature: dict[str, list[tuple[str, Anomaly]]] = {}
    for split, anomaly in listed:
        of_feature.setdefault(anomaly.feature, []).append((split, anomaly))
    features = [
        Feature(
            name,
            kinds.get(name, ""),
            tuple(_with_common_categories(by_feature.get(name, []))),
            tuple(drift.get(name, ())),
            tuple(of_feature.get(name, ())),
        )
        for name in names
    ]
    features.sort(key=lambda f: (not f.anomalies, -f.worst_drift, f.name))
    return Findings(tuple(features), examples, tuple(listed), has_artifact, tuple(problems))


def _splits(artifact: ArtifactRecord, problems: list[str]) -> list[str]:
    text = artifact.properties.get("split_names") or "[]"
    try:
        names = bounded.parse_json(text)
    except (TypeError, ValueError):
        names = None
    if not isinstance(names, list):
        problems.append(
            f"The splits of {artifact.type_name} {artifact.artifact_id} are not a list."
        )
        return []
    return [str(name) for name in names]


def _of_split(split: str, feature: Any) -> SplitStatistics:
    kind = feature.WhichOneof("stats")
    stats: Any = getattr(feature, kind) if kind else None
    common: Any = getattr(stats, "common_stats", None)
    present = int(common.num_non_missing) if common is not None else 0
    missing = int(common.num_missing) if common is not None else 0
    facts: dict[str, str] = {"missing": share(missing, present + missing)}
    bars: list[Bar] = []
    labels: list[str] = []
    if kind == "num_stats":
        facts |= {
            "mean": f"{quantity(stats.mean)} ± {quantity(stats.std_dev)}",
            "median": quantity(stats.median),
            "range": f"{quantity(stats.min)} to {quantity(stats.max)}",
        }
        if stats.num_zeros:
            facts["zeros"] = share(stats.num_zeros, common.tot_num_values or present)
        bars = _numeric_bars(stats)
        labels = [f"{quantity(bar.low)} to {quantity(bar.high)}" for bar in bars]
    elif kind == "string_stats":
        facts |= {"different": quantity(stats.unique), "length": quantity(stats.avg_length)}
        if stats.top_values:
            facts["most frequent"] = _label_text(stats.top_values[0].value)
        buckets = stats.rank_histogram.buckets
        bars = [Bar(n, n + 1, b.sample_count) for n, b in enumerate(buckets)]
        labels = [_label_text(bucket.label) for bucket in buckets]
    return SplitStatistics(
        split, present, missing, facts, tuple(bars), tuple(labels), kind == "string_stats"
    )


def _numeric_bars(stats: Any) -> list[Bar]:
    """Return the bars of the histogram with equal widths, or of another where there is none."""
    histograms = sorted(stats.histograms, key=lambda histogram: histogram.type)
    for histogram in histograms:
        bars = [Bar(b.low_value, b.high_value, b.sample_count) for b in histogram.buckets]
        finite = [bar for bar in bars if math.isfinite(bar.low) and math.isfinite(bar.high)]
        if finite:
            return finite
    return []


def _label_text(label: str) -> str:
    return label if label.strip() else f"“{label}”"


def _with_common_categories(splits: Sequence[SplitStatistics]) -> list[SplitStatistics]:
    """Give categories the same place in every split: by their rank in the first, then in others."""
    if not splits or not all(split.is_categorical for split in splits):
        return list(splits)
    order: dict[str, int] = {}
    for split in splits:
        for label in split.labels[:_MOST_CATEGORIES]:
            order.setdefault(label, len(order))
    common = []
    for split in splits:
        counts = {label: bar.count for label, bar in zip(split.labels, split.bars, strict=True)}
        common.append(
            SplitStatistics(
                split.split,
                split.count,
                split.missing,
                split.facts,
                tuple(Bar(n, n + 1, counts.get(label, 0.0)) for label, n in order.items()),
                tuple(order),
                is_categorical=True,
            )
        )
    return common
