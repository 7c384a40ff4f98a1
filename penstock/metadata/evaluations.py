"""What an evaluation came to, and what was asked of it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from penstock.metadata.graph import ExecutionRecord
from penstock.metadata.reading import ArtifactRecord
from penstock.metadata.rows import Row, property_or
from penstock.safety import bounded


@dataclass(frozen=True)
class Metric:
    """A metric of an evaluation, over all examples; the bounds are of its 95 % interval."""

    name: str
    value: float
    lower: float | None = None
    upper: float | None = None


def metrics_of(evaluation: ArtifactRecord) -> tuple[Metric, ...]:
    """Return the metrics that an evaluation's artifact carries; TFX's own carries none."""
    row = Row(evaluation.type_name, evaluation.artifact_id, evaluation.uri)
    return read_metrics(row, evaluation.properties.get("metrics"))


def read_metrics(row: Row, text: Any) -> tuple[Metric, ...]:
    """Return the metrics that a property of an artifact holds; none that cannot be read."""

    def read() -> tuple[Metric, ...]:
        return tuple(map(_metric, json.loads(text))) if text else ()

    return property_or(row, "metrics", read, ())


def _metric(content: Mapping[str, Any]) -> Metric:
    metric = Metric(content["metric"], content["value"], content.get("lower"), content.get("upper"))
    bounds = (bound for bound in (metric.lower, metric.upper) if bound is not None)
    if not all(isinstance(number, int | float) for number in (metric.value, *bounds)):
        raise ValueError(f"expected numbers, got {content!r}")
    return metric


def thresholds_of(evaluator: ExecutionRecord | None) -> list[str]:
    """Return the thresholds that an Evaluator was given, a line each."""
    text = evaluator.node.parameters.get("eval_config") if evaluator else None
    try:
        config = bounded.parse_json(text) if text else {}
    except (TypeError, ValueError):
        return []
    return list(dict.fromkeys(_thresholds(config, "")))


def _thresholds(value: Any, metric: str) -> Iterator[str]:
    if isinstance(value, list):
        for item in value:
            yield from _thresholds(item, metric)
    if not isinstance(value, dict):
        return
    metric = value.get("class_name", metric)
    for key, content in value.items():
        if _camel(key) in ("valueThreshold", "changeThreshold"):
            bounds = ", ".join(f"{name} {bound}" for name, bound in sorted(content.items()))
            yield f"{metric} {'value' if key.startswith('value') else 'change'}: {bounds}"
        else:
            named = _camel(key) in ("thresholds", "perSliceThresholds") and isinstance(
                content, dict
            )
            for name, inner in content.items() if named else [(metric, content)]:
                yield from _thresholds(inner, name)


def _camel(key: str) -> str:
    first, *rest = key.split("_")
    return first + "".join(part.capitalize() for part in rest)
