"""From an eval_config to the metrics that it asks for, and what is asked of their values."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from penstock.components.evaluator.arrow.catalog import metric_of
from penstock.components.evaluator.arrow.keys import MACRO, MICRO, WEIGHTED_MACRO, Key, SubKey
from penstock.components.evaluator.arrow.metric import Asked, Metric
from penstock.components.evaluator.eval_config import baseline_name
from penstock.components.evaluator.unsupported import Unsupported
from penstock.data.results import evaluation_messages as messages
from penstock.errors import ParameterError, suggestion

# Where a metric or a loss may be said to come from, if its class is one of those that we know.
_MODULES = ("keras", "tf_keras", "tensorflow", "tensorflow_model_analysis")


@dataclass(frozen=True)
class Requirement:
    """What is asked of a metric: a message of a value threshold or of a change threshold.

    `slices` is the SlicingSpec message of the slices that it is asked on; None for all rows.
    """

    key: Key
    threshold: Any
    slices: Any | None = None


@dataclass(frozen=True)
class Evaluation:
    """What a config asks for: metrics, plots among them, and requirements by their metric."""

    config: Any
    metrics: tuple[Metric, ...]
    requirements: Mapping[Key, Sequence[Requirement]]

    @property
    def baseline(self) -> str | None:
        """The name of the baseline, where there is one."""
        return baseline_name(self.config)


def evaluation_of(config: Any, schema: Any = None) -> Evaluation:
    """Return what a completed config asks for.

    Raises:
      Unsupported: it asks for something that the engine does not know; the message says what.
      ParameterError: it does not hold together.
    """
    _check(config)
    metrics: dict[Key, Metric] = {}
    requirements: dict[Key, list[Requirement]] = {}
    for spec in config.metrics_specs:
        by_name: dict[str, list[Key]] = {}
        for listed in spec.metrics:
            for asked in _asked(config, spec, listed, schema):
                metric = metric_of(asked)
                metrics[metric.key] = metric
                by_name.setdefault(metric.key.name, []).append(metric.key)
                for requirement in _of_metric(metric.key, listed):
                    _add(requirements, requirement)
        for requirement in _by_name(spec, by_name):
            _add(requirements, requirement)
    return Evaluation(config, tuple(metrics.values()), requirements)


def _check(config: Any) -> None:
    options = config.options
    specs = config.metrics_specs
    cross = [m for spec in specs for m in (*spec.metrics, *spec.cross_slice_thresholds.values())]
    unsupported = {
        "cross_slicing_specs": config.cross_slicing_specs,
        "cross_slice_thresholds": [
            m
            for m in cross
            if getattr(m, "cross_slice_thresholds", None) or getattr(m, "thresholds", None)
        ],
        "slice_keys_sql": [s for s in config.slicing_specs if s.slice_keys_sql],
        "query_key": [s for s in specs if s.query_key],
        "the option disabled_outputs": options.disabled_outputs.values,
        "label_keys, prediction_keys or example_weight_keys, one for each of several outputs": [
            s
            for s in config.model_specs
            if s.label_keys or s.prediction_keys or s.example_weight_keys
        ],
        "output_names": [s for s in specs if s.output_names or s.output_weights],
        "padding_options": [s for s in config.model_specs if s.HasField("padding_options")],
        "preprocessing_function_names": [
            s for s in config.model_specs if s.preprocessing_function_names
        ],
    }
    for what, asked in unsupported.items():
        if asked:
            raise Unsupported(what)


def _asked(config: Any, spec: Any, listed: Any, schema: Any) -> Iterator[Asked]:
    module = listed.module.partition(".")[0]
    if module and (module not in _MODULES or "losses" in listed.module):
        raise Unsupported(f"the metric {listed.class_name} of the module {listed.module}")
    settings = _settings(listed)
    parts = list(_parts(spec))
    for model in spec.model_names or [""]:
        model_spec = next((s for s in config.model_specs if s.name == model), None)
        if model_spec is None:
            names = [s.name for s in config.model_specs]
            raise ParameterError(
                f"a metrics_spec names the model {model!r}, and no model spec does",
                hint=suggestion(model, names, noun="model"),
            )
        for weighted in _weighted(config, spec):
            for part, aggregation, class_weights in parts:
                yield Asked(
                    listed.class_name,
                    settings,
                    model,
                    weighted,
                    part,
                    aggregation,
                    class_weights,
                    _label_range(schema, model_spec.label_key),
                )


def _settings(listed: Any) -> Mapping[str, Any]:
    if not listed.config:
        return {}
    try:
        settings = json.loads(listed.config)
    except ValueError as error:
        settings = error
    if not isinstance(settings, dict):
        raise ParameterError(
            f"the config of the metric {listed.class_name} should be a JSON object: "
            f"{listed.config!r}",
            hint='As in "config": \'{"num_thresholds": 100}\'.',
        )
    return settings


def _parts(
    spec: Any,
) -> Iterator[tuple[SubKey | None, str | None, tuple[tuple[int, float], ...]]]:
    """Yield the parts of the classes that metrics are of, and how they are averaged."""
    binarized = [
        SubKey(**{field: number})
        for field, listed in (
            ("class_id", spec.binarize.class_ids),
            ("k", spec.binarize.k_list),
            ("top_k", spec.binarize.top_k_list),
        )
        for number in listed.values
    ]
    for part in binarized:
        yield part, None, ()
    if spec.HasField("aggregate"):
        aggregate = spec.aggregate
        weights = tuple(sorted(aggregate.class_weights.items()))
        top_k = [SubKey(top_k=number) for number in aggregate.top_k_list.values]
        if top_k and weights:
            raise ParameterError(
                "aggregate has both top_k_list and class_weights", hint="Leave out one of the two."
            )
        kind = next(
            (name for name in (MICRO, MACRO, WEIGHTED_MACRO) if getattr(aggregate, name)), None
        )
        yield from ((part, kind, weights) for part in top_k)
        if not top_k:
            yield None, kind, weights
    elif not binarized:
        yield None, None, ()


def _weighted(config: Any, spec: Any) -> list[bool]:
    """Return whether example weights count: as the spec says, else where a model has some."""
    if spec.HasField("example_weights"):
        options = spec.example_weights
        return [True] * options.weighted + [False] * options.unweighted
    names = set(spec.model_names)
    return [any(s.example_weight_key for s in config.model_specs if not names or s.name in names)]


def _label_range(schema: Any, label: str) -> tuple[float | None, float | None]:
    """Return the least and the greatest label, as the schema has them."""
    feature = next((f for f in getattr(schema, "feature", ()) if f.name == label), None)
    if feature is None:
        return None, None
    for name in ("int_domain", "float_domain"):
        if feature.HasField(name):
            domain = getattr(feature, name)
            return (
                float(domain.min) if domain.HasField("min") else None,
                float(domain.max) if domain.HasField("max") else None,
            )
    return None, None


def _of_metric(key: Key, listed: Any) -> Iterator[Requirement]:
    if listed.HasField("threshold"):
        yield from _requirements(key, listed.threshold)
    for each in listed.per_slice_thresholds:
        for slices in each.slicing_specs:
            yield from _requirements(key, each.threshold, slices)


def _by_name(spec: Any, by_name: Mapping[str, Sequence[Key]]) -> Iterator[Requirement]:
    """Yield what a spec asks of metrics by their names."""
    for name in (*spec.thresholds, *spec.per_slice_thresholds):
        if name not in by_name:
            raise ParameterError(
                f"there is a threshold for {name!r}, which is no metric of its metrics_spec",
                hint=suggestion(name, by_name, noun="metric"),
            )
    for name, threshold in spec.thresholds.items():
        for key in by_name[name]:
            yield from _requirements(key, threshold)
    for name, listed in spec.per_slice_thresholds.items():
        for key in by_name[name]:
            for each in listed.thresholds:
                for slices in each.slicing_specs:
                    yield from _requirements(key, each.threshold, slices)


def _requirements(key: Key, threshold: Any, slices: Any | None = None) -> Iterator[Requirement]:
    if threshold.HasField("value_threshold"):
        yield Requirement(key, threshold.value_threshold, slices)
    if threshold.HasField("change_threshold"):
        if not threshold.change_threshold.direction:
            raise ParameterError(
                f"the change_threshold of {key.name} should have a direction",
                hint="It is HIGHER_IS_BETTER or LOWER_IS_BETTER.",
            )
        yield Requirement(key.difference(), threshold.change_threshold, slices)


def _add(requirements: dict[Key, list[Requirement]], requirement: Requirement) -> None:
    listed = requirements.setdefault(requirement.key, [])
    if requirement not in listed:
        listed.append(requirement)


def overall() -> Any:
    """Return the SlicingSpec of all rows."""
    return messages.SlicingSpec()
