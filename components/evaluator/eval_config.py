"""The eval_config: read, checked, and completed by TFMA's defaults, without TFMA."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from google.protobuf import json_format

from penstock.data.results import evaluation_messages as messages
from penstock.errors import ParameterError

if TYPE_CHECKING:
    from tensorflow_model_analysis import EvalConfig

CANDIDATE, BASELINE = "candidate", "baseline"
# The metric that the parameter fairness_indicator_thresholds adds.
FAIRNESS = "FairnessIndicators"
_SINGLE_OR_SEVERAL = (
    ("label_key", "label_keys"),
    ("prediction_key", "prediction_keys"),
    ("example_weight_key", "example_weight_keys"),
)


def parse(eval_config: Mapping[str, Any]) -> Any:
    """Return an eval_config, a dict in the JSON form of `tfma.EvalConfig`, as a message.

    Raises:
      ParameterError: it has a field or a value that there is none of.
    """
    try:
        return json_format.ParseDict(dict(eval_config), messages.EvalConfig())
    except json_format.ParseError as error:
        raise ParameterError(
            f"eval_config should be a tfma.EvalConfig: {error}",
            hint="Its fields are model_specs, slicing_specs, metrics_specs, options and "
            "cross_slicing_specs.",
        ) from error


def complete(config: Any, has_baseline: bool) -> Any:
    """Return a config with TFMA's defaults, for a candidate alone or with a baseline.

    Without a baseline its model spec and all change thresholds are taken out: as in TFX the first
    model needs none.

    Raises:
      ParameterError: the config does not hold together.
    """
    completed = messages.EvalConfig()
    completed.CopyFrom(config)
    options = completed.options
    if options.compute_confidence_intervals.value and not options.confidence_intervals.method:
        options.confidence_intervals.method = messages.JACKKNIFE
    specs = completed.model_specs
    if has_baseline and len(specs) == 1 and not specs[0].name:
        specs.add().CopyFrom(specs[0])
        specs[0].name, specs[1].name, specs[1].is_baseline = CANDIDATE, BASELINE, True
    elif not has_baseline:
        kept = [spec for spec in specs if not spec.is_baseline]
        del specs[:]
        specs.extend(kept)
        for threshold in metric_thresholds(completed):
            threshold.ClearField("change_threshold")
    if not specs:
        specs.add()
    names = [spec.name for spec in specs]
    if len(names) == 1:
        names = [""]
        specs[0].name = ""
    for spec in completed.metrics_specs:
        if not spec.model_names:
            spec.model_names.extend(names)
        elif len(names) == 1:
            del spec.model_names[:]
            spec.model_names.append("")
    _check(completed)
    return completed


def as_tfmas(config: Any) -> EvalConfig:
    """Return a completed config as TFMA's message.

    Raises:
      ParameterError: it has the metric FairnessIndicators, which this installation of TFMA lacks.
    """
    from tensorflow_model_analysis.metrics import metric_types
    from tensorflow_model_analysis.proto import config_pb2

    names = [metric.class_name for spec in config.metrics_specs for metric in spec.metrics]
    if FAIRNESS in names and FAIRNESS not in metric_types.registered_metrics():
        raise ParameterError(
            f"fairness_indicator_thresholds needs TFMA's metric {FAIRNESS}, which this "
            "installation lacks",
            hint="Install the package fairness-indicators and import it in module_file.",
        )
    return config_pb2.EvalConfig.FromString(config.SerializeToString())


def metric_thresholds(config: Any) -> Iterator[Any]:
    """Yield all MetricThreshold messages of a config."""
    for spec in config.metrics_specs:
        for metric in spec.metrics:
            if metric.HasField("threshold"):
                yield metric.threshold
            for listed in (*metric.per_slice_thresholds, *metric.cross_slice_thresholds):
                yield listed.threshold
        yield from spec.thresholds.values()
        for lists in (spec.per_slice_thresholds, spec.cross_slice_thresholds):
            for each in lists.values():
                for listed in each.thresholds:
                    yield listed.threshold


def has_thresholds(config: Any) -> bool:
    """Return whether a config says when a model is good enough."""
    return any(
        threshold.HasField("value_threshold") or threshold.HasField("change_threshold")
        for threshold in metric_thresholds(config)
    )


def baseline_name(config: Any) -> str | None:
    """Return the name of the baseline's model spec; None where there is no baseline."""
    return next((spec.name for spec in config.model_specs if spec.is_baseline), None)


def _check(config: Any) -> None:
    specs = config.model_specs
    names = [spec.name for spec in specs]
    if len(specs) > 2:
        raise ParameterError(
            f"eval_config should have one model spec or two, and has {len(specs)}: "
            + ", ".join(map(repr, names))
        )
    for spec in specs:
        for one, several in _SINGLE_OR_SEVERAL:
            if getattr(spec, one) and getattr(spec, several):
                raise _broken(f"a model spec has both {one} and {several}", "Leave out one of them")
    if len(specs) > 1 and ("" in names or len(set(names)) < len(names)):
        raise _broken(
            f"with two models each model spec needs a name of its own, and they are {names}",
            "Give them a name, or give one model spec alone, which is then for both models",
        )
    if sum(spec.is_baseline for spec in specs) > 1:
        raise _broken("more than one model spec has is_baseline", "Only one model is the baseline")
    for spec in config.metrics_specs:
        listed = [each for metric in spec.metrics for each in metric.per_slice_thresholds]
        listed += [
            each for lists in spec.per_slice_thresholds.values() for each in lists.thresholds
        ]
        if not all(each.slicing_specs for each in listed):
            raise _broken(
                "per_slice_thresholds have no slicing_specs",
                "Say which slices the threshold is for; {} is all rows",
            )


def _broken(what: str, hint: str) -> ParameterError:
    return ParameterError(f"eval_config does not hold together: {what}", hint=f"{hint}.")
