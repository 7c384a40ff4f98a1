"""One evaluation: from artifacts and parameters to a job for an engine, and to a blessing."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from penstock.artifacts import Examples, Model, ModelBlessing, ModelEvaluation
from penstock.authoring.beam import BeamOptions
from penstock.components.evaluator.job import Job
from penstock.components.schema_gen.schema_file import read_schema
from penstock.data.results import evaluation as results
from penstock.data.splits import split_files
from penstock.errors import ParameterError
from penstock.models import layout
from penstock.project import user_code

if TYPE_CHECKING:
    from tensorflow_model_analysis import EvalConfig, EvalSharedModel

# There may be a failure for every slice.
_SHOWN_FAILURES = 10


def evaluate(
    *,
    examples: Sequence[Examples],
    evaluation: ModelEvaluation,
    blessing: ModelBlessing,
    eval_config: Mapping[str, Any],
    model: Model | None = None,
    baseline_model: Model | None = None,
    schema_uri: str | None = None,
    example_splits: Sequence[str] | None = None,
    fairness_indicator_thresholds: Sequence[float] | None = None,
    module_file: str | None = None,
    module_path: str | None = None,
    component_id: str = "",
    progress: Callable[..., None] | None = None,
    beam: BeamOptions | None = None,
) -> None:
    """Evaluate, and if the config has thresholds record in the blessing whether they hold."""
    beam = beam or BeamOptions()
    config = complete_config(eval_config, baseline_model is not None, fairness_indicator_thresholds)
    module = {"module_file": module_file, "module_path": module_path}
    job = Job(
        files=[
            file
            for split in example_splits or ["eval"]
            for artifact in examples
            for file in split_files(artifact, split)
        ],
        eval_config=config,
        models=shared_models(
            config,
            model,
            baseline_model,
            user_code.find_function("custom_eval_shared_model", **module),
        ),
        output_directory=evaluation.uri,
        schema=read_schema(schema_uri) if schema_uri else None,
        extractors_fn=user_code.find_function("custom_extractors", **module),
        **({"progress": progress} if progress else {}),
    )
    beam.engine("penstock.components.evaluator").evaluate(job, beam)
    record_metrics(evaluation)
    if not has_thresholds(config):
        print("The eval_config has no thresholds: the model is neither blessed nor not.")
        return
    bless(blessing, evaluation.uri, model, baseline_model, component_id)


def record_metrics(evaluation: ModelEvaluation) -> None:
    """Put the model's metrics on all rows into the artifact's custom property `metrics`.

    So they can be shown and compared by whoever reads the metadata store alone. It is JSON: a list
    of objects with metric, value and, where there is a confidence interval, lower and upper.
    """
    overall = [
        {"metric": m.metric, "value": m.value, "lower": m.lower, "upper": m.upper}
        for m in results.summarize(evaluation.uri)
        if m.slice == results.OVERALL
        and m.model in ("", "candidate")
        and not m.metric.endswith("_diff")
    ]
    evaluation.set_string_custom_property("metrics", json.dumps(overall))


def complete_config(
    eval_config: Mapping[str, Any],
    has_baseline: bool,
    fairness_indicator_thresholds: Sequence[float] | None = None,
) -> EvalConfig:
    """Return the config with TFMA's defaults, for a candidate alone or with a baseline.

    Without a baseline its model spec and all change thresholds are taken out.
    """
    from google.protobuf import json_format
    from tensorflow_model_analysis.proto import config_pb2
    from tensorflow_model_analysis.utils import config_util

    try:
        config = json_format.ParseDict(dict(eval_config), config_pb2.EvalConfig())
    except json_format.ParseError as error:
        raise ParameterError(
            f"eval_config should be a tfma.EvalConfig: {error}",
            hint="Its fields are model_specs, slicing_specs, metrics_specs, options and "
            "cross_slicing_specs.",
        ) from error
    if fairness_indicator_thresholds:
        _add_fairness_indicators(config, fairness_indicator_thresholds)
    try:
        # As in TFX the first model needs no baseline, even where change thresholds ask for one.
        config = config_util.update_eval_config_with_defaults(
            config, has_baseline=has_baseline, rubber_stamp=True
        )
        config_util.verify_eval_config(config)
    except ValueError as error:
        raise ParameterError(f"eval_config does not hold together: {error}") from error
    if len(config.model_specs) > 2:
        names = ", ".join(repr(spec.name) for spec in config.model_specs)
        raise ParameterError(
            f"eval_config should have one model spec or two, and has {len(config.model_specs)}: "
            f"{names}"
        )
    return config


def _add_fairness_indicators(config: EvalConfig, thresholds: Sequence[float]) -> None:
    from tensorflow_model_analysis.metrics import metric_types

    name = "FairnessIndicators"
    if name not in metric_types.registered_metrics():
        raise ParameterError(
            f"fairness_indicator_thresholds needs TFMA's metric {name}, which this installation "
            "lacks",
            hint="Install the package fairness-indicators and import it in module_file.",
        )
    specs = config.metrics_specs or [config.metrics_specs.add()]
    specs[0].metrics.add(class_name=name, config=json.dumps({"thresholds": list(thresholds)}))


def has_thresholds(config: EvalConfig) -> bool:
    """Return whether a config says when a model is good enough."""
    import tensorflow_model_analysis as tfma

    return bool(
        tfma.metrics.metric_thresholds_from_metrics_specs(config.metrics_specs, eval_config=config)
    )


def shared_models(
    config: EvalConfig,
    model: Model | None,
    baseline_model: Model | None,
    custom_model: Callable[..., Any] | None,
) -> list[EvalSharedModel]:
    """Return the models that the config names; none where the examples hold the predictions."""
    import tensorflow_model_analysis as tfma
    from tensorflow_model_analysis.utils import model_util

    models = []
    for spec in config.model_specs:
        artifact = baseline_model if spec.is_baseline else model
        if model is None:
            if not (spec.prediction_key or spec.prediction_keys):
                raise ParameterError(
                    "Evaluator should be given a model, or model specs with a prediction_key",
                    hint="The prediction_key names the feature that holds the prediction.",
                )
            continue
        if artifact is None:
            raise ParameterError(f"the model spec {spec.name!r} asks for a baseline_model")
        legacy = model_util.get_model_type(spec) == tfma.TFMA_EVAL
        path = layout.evaluation_model if legacy else layout.serving_model
        arguments = {
            "eval_saved_model_path": path(artifact.uri),
            "model_name": spec.name,
            "eval_config": config,
            "add_metrics_callbacks": None,
        }
        if custom_model is None:
            models.append(tfma.default_eval_shared_model(**arguments))
        else:
            models.append(user_code.run(custom_model, **arguments))
    return models


def bless(
    blessing: ModelBlessing,
    evaluation_uri: str,
    model: Model | None,
    baseline_model: Model | None,
    component_id: str,
) -> None:
    """Write TFX's blessing file and custom properties, by the thresholds of an evaluation."""
    for name, artifact in (("current_model", model), ("baseline_model", baseline_model)):
        if artifact is not None:
            blessing.set_string_custom_property(name, artifact.uri)
            blessing.set_int_custom_property(f"{name}_id", artifact.id)
    if component_id:
        blessing.set_string_custom_property("component_id", component_id)
    blessed = results.read_validation(evaluation_uri).validation_ok
    Path(blessing.uri, "BLESSED" if blessed else "NOT_BLESSED").touch()
    blessing.set_int_custom_property("blessed", int(blessed))
    failures = results.validation_failures(evaluation_uri)
    if failures:
        blessing.set_string_custom_property("failures", json.dumps(failures[:_SHOWN_FAILURES]))
    for failure in failures[:_SHOWN_FAILURES]:
        print(failure)
    more = len(failures) - _SHOWN_FAILURES
    print(f"The model is {'blessed' if blessed else 'not blessed'}{_and_more(more)}.")


def _and_more(failures: int) -> str:
    return f", for these and {failures} more reasons" if failures > 0 else ""
