"""What an evaluation comes to, where the engine in this process can do it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from penstock.components.evaluator.job import Job
from penstock.components.evaluator.tallies import Tally, tally_of
from penstock.components.evaluator.unsupported import Unsupported


@dataclass(frozen=True)
class Plan:
    """The computations of an evaluation.

    Rows are dealt to `jackknife_buckets` buckets, one where no confidence intervals are asked for.
    `model_names` are those of TFMA's metric keys: empty where there is one model.
    """

    eval_config: Any
    models: Mapping[str, Any]
    tallies: Sequence[Tally]
    derived: Sequence[Any]
    derived_of_intervals: Sequence[Any]
    jackknife_buckets: int
    without_intervals: Any
    baseline: str | None
    rubber_stamp: bool
    tells_undefined: bool

    @property
    def model_names(self) -> list[str]:
        """The names that metrics know the models by."""
        specs = self.eval_config.model_specs
        return [spec.name for spec in specs] if len(specs) > 1 else [""]


def plan_of(job: Job) -> Plan:
    """Return the plan of a job; raise Unsupported where it needs TFMA's Beam transforms."""
    try:
        return _plan(job)
    except (AttributeError, ImportError) as error:
        # Sums need to know what is inside of TFMA's combiners, which may change.
        raise Unsupported(f"this version of TFMA is not as expected: {error}") from error


def _plan(job: Job) -> Plan:
    from tensorflow_model_analysis.api import model_eval_lib
    from tensorflow_model_analysis.evaluators import metrics_plots_and_validations_evaluator
    from tensorflow_model_analysis.metrics import metric_specs
    from tensorflow_model_analysis.proto import config_pb2
    from tensorflow_model_analysis.utils import config_util, model_util

    if job.extractors_fn is not None:
        raise Unsupported("the module file has custom_extractors")
    if not job.models:
        raise Unsupported("the examples hold the predictions")
    config = model_eval_lib._update_eval_config_with_defaults(job.eval_config, job.model_or_models)
    config_util.verify_eval_config(config)
    if not model_eval_lib.is_batched_input(job.model_or_models, config):
        raise Unsupported("the model is an estimator's evaluation graph")
    shared = model_util.verify_and_update_eval_shared_models(job.model_or_models)
    models = {model.model_name: model for model in shared}
    _check(config, models)
    specs = list(config.metrics_specs) or [config_pb2.MetricsSpec()]
    parts = metrics_plots_and_validations_evaluator._filter_and_separate_computations(
        metric_specs.to_computations(specs, eval_config=config, schema=job.schema)
    )
    intervals = metrics_plots_and_validations_evaluator._get_confidence_interval_params(
        config, specs
    )
    if intervals.num_bootstrap_samples:
        raise Unsupported("confidence intervals are by POISSON_BOOTSTRAP")
    for computation in (*parts.non_derived_computations, *parts.derived_computations):
        _check_keys(computation)
    baseline = model_util.get_baseline_model_spec(config)
    return Plan(
        eval_config=config,
        models=models,
        tallies=[tally_of(computation) for computation in parts.non_derived_computations],
        derived=parts.derived_computations,
        derived_of_intervals=parts.ci_derived_computations,
        jackknife_buckets=intervals.num_jackknife_samples or 1,
        without_intervals=intervals.skip_ci_metric_keys,
        baseline=baseline.name if baseline else None,
        rubber_stamp=model_util.has_rubber_stamp(shared),
        tells_undefined=job.tells_undefined,
    )


def _check(config: Any, models: Mapping[str, Any]) -> None:
    options = config.options
    unsupported = {
        "there are cross_slicing_specs": config.cross_slicing_specs,
        "slices are named in SQL": [s for s in config.slicing_specs if s.slice_keys_sql],
        "metrics have a query_key": [s for s in config.metrics_specs if s.query_key],
        "the option disabled_outputs is set": options.disabled_outputs.values,
        "the option min_slice_size is set": options.min_slice_size.value > 1,
        "a model has several outputs": [
            spec
            for spec in config.model_specs
            if spec.label_keys or spec.prediction_keys or spec.example_weight_keys
        ],
        "a model is neither of Keras nor a plain SavedModel": [
            model for model in models.values() if model.model_type not in ("tf_keras", "tf_generic")
        ],
        "add_metrics_callbacks are given": [m for m in models.values() if m.add_metrics_callbacks],
    }
    for reason, holds in unsupported.items():
        if holds:
            raise Unsupported(reason)
    if not options.HasField("include_default_metrics") or options.include_default_metrics.value:
        _check_models_metrics(config, models)


def _check_models_metrics(config: Any, models: Mapping[str, Any]) -> None:
    from tensorflow_model_analysis.evaluators import keras_util

    for name, model in models.items():
        if (
            model.include_default_metrics
            and model.model_type == "tf_keras"
            and keras_util.metric_computations_using_keras_saved_model(
                name, model.model_loader, config
            )
        ):
            raise Unsupported("the model was saved with metrics of its own")


def _check_keys(computation: Any) -> None:
    """Leave plots and attributions to Beam, but not what metrics are derived from."""
    from tensorflow_model_analysis.metrics import metric_types

    for key in computation.keys:
        if isinstance(key, metric_types.PlotKey | metric_types.AttributionsKey) and not (
            key.name or ""
        ).startswith("_"):
            raise Unsupported(f"{key.name} is a plot or an attribution")
