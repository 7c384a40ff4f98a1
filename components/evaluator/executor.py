"""One evaluation: from artifacts and parameters to a job for an engine, and to a blessing."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from penstock.artifacts import Examples, Model, ModelBlessing, ModelEvaluation
from penstock.authoring.beam import BeamOptions
from penstock.authoring.node_context import NodeContext
from penstock.components.evaluator import in_parts, on_arrow, with_predictions
from penstock.components.evaluator.arrow.asking import evaluation_of
from penstock.components.evaluator.eval_config import (
    FAIRNESS,
    as_tfmas,
    complete,
    has_thresholds,
    parse,
)
from penstock.components.evaluator.evaluated_models import (
    PlacedModel,
    evaluated_models,
    has_tfma,
    is_saved_model,
    locations,
)
from penstock.components.evaluator.explaining import explained
from penstock.components.evaluator.extraction import transformed_features
from penstock.components.evaluator.job import Job
from penstock.components.evaluator.named_features import check_named_features
from penstock.components.evaluator.unsupported import Unsupported, told
from penstock.components.schema_gen.schema_file import read_schema
from penstock.data.records import read_record_batches
from penstock.data.results import evaluation as results
from penstock.data.splits import split_files
from penstock.errors import MissingExtra, ParameterError, PenstockError
from penstock.models import layout
from penstock.project import extras, user_code

if TYPE_CHECKING:
    from tensorflow_metadata.proto.v0 import schema_pb2
    from tensorflow_model_analysis import EvalConfig, EvalSharedModel

# TFMA takes them for metrics of Keras whose states add up, and they have no state yet.
_BEYOND_TFMA = frozenset({"R2Score"})
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
    config = evaluate_files(
        examples=examples,
        evaluation_uri=evaluation.uri,
        eval_config=eval_config,
        model=model,
        baseline_model=baseline_model,
        schema_uri=schema_uri,
        example_splits=example_splits,
        fairness_indicator_thresholds=fairness_indicator_thresholds,
        module_file=module_file,
        module_path=module_path,
        progress=progress,
        beam=beam,
    )
    record_metrics(evaluation)
    for slices in results.empty_slices(evaluation.uri, config.slicing_specs):
        print(f"No row is in the slice {slices}, which a slicing_spec names.")
    if not has_thresholds(config):
        if not has_thresholds(parse(eval_config)):
            print("The eval_config has no thresholds: the model is neither blessed nor not.")
            return
        results.accept_without_baseline(evaluation.uri)
        print("All thresholds are of changes, and there is no baseline yet: it is the first model.")
    bless(blessing, evaluation.uri, model, baseline_model, component_id)


def evaluate_files(
    *,
    examples: Sequence[Examples],
    evaluation_uri: str,
    eval_config: Mapping[str, Any],
    model: Model | None = None,
    baseline_model: Model | None = None,
    schema_uri: str | None = None,
    example_splits: Sequence[str] | None = None,
    fairness_indicator_thresholds: Sequence[float] | None = None,
    module_file: str | None = None,
    module_path: str | None = None,
    progress: Callable[..., None] | None = None,
    beam: BeamOptions | None = None,
    tells_undefined: bool = True,
) -> Any:
    """Write the evaluation below `evaluation_uri`, and return the completed config.

    SavedModels are TFMA's where it is installed. Models of other frameworks are asked by Penstock,
    and their predictions evaluated without TFMA as far as its metrics are known. For
    `tells_undefined` see `Job`.
    """
    beam = beam or BeamOptions()
    config = completed_config(
        eval_config, baseline_model is not None, fairness_indicator_thresholds
    )
    module = {"module_file": module_file, "module_path": module_path}
    files = [
        file
        for split in example_splits or ["eval"]
        for artifact in examples
        for file in split_files(artifact, split)
    ]
    custom_model = user_code.find_function("custom_eval_shared_model", **module)
    custom_extractors = user_code.find_function("custom_extractors", **module)
    is_custom = custom_model is not None or custom_extractors is not None
    schema = read_schema(schema_uri) if schema_uri else None
    report = {"progress": progress} if progress else {}
    if is_tfmas(model, baseline_model, is_custom=is_custom) and not (
        model is not None and beyond_tfma(config, schema)
    ):
        tfmas = as_tfmas(config)
        job = Job(
            files=files,
            eval_config=tfmas,
            models=shared_models(tfmas, model, baseline_model, custom_model),
            output_directory=evaluation_uri,
            schema=schema,
            extractors_fn=custom_extractors,
            tells_undefined=tells_undefined,
            **report,
        )
        if custom_extractors is None:
            check_named_features(files, config, schema, partial(transformed_features, job))
        try:
            beam.engine("penstock.components.evaluator").evaluate(job, beam)
        except (ValueError, RuntimeError, TypeError, PenstockError) as error:
            # Of what Beam's workers have raised, all that Beam says is looked at.
            said = error.__cause__ or error if isinstance(error, PenstockError) else error
            reason = explained(said, job) if custom_extractors is None else None
            if reason is None:
                raise
            raise reason from error
    else:
        check_named_features(files, config, schema)
        evaluate_tables(
            files,
            config,
            evaluation_uri,
            PlacedModel.of(model),
            PlacedModel.of(baseline_model),
            schema,
            beam,
            **report,
        )
    return config


def is_tfmas(model: Model | None, baseline_model: Model | None, *, is_custom: bool) -> bool:
    """Return whether TFMA asks and evaluates the models, because they are SavedModels.

    So it does where the examples hold the predictions. `is_custom` says that the user has functions
    of TFMA's.

    Raises:
      MissingExtra: these need TFMA, and it is not installed.
      ParameterError: these are for SavedModels, and the models are others.
    """
    given = [one for one in (model, baseline_model) if one is not None]
    others = [one for one in given if not is_saved_model(one)]
    functions = "custom_eval_shared_model and custom_extractors"
    if is_custom and others:
        raise ParameterError(
            f"{functions} are for SavedModels, and the model in {others[0].uri} is none",
            hint="Leave them out: the model is asked by its flavor.",
        )
    if is_custom and not has_tfma():
        raise _needs_tfma(f"{functions} of the module file")
    return not others and has_tfma()


def beyond_tfma(config: Any, schema: schema_pb2.Schema | None = None) -> bool:
    """Return whether a config asks for a metric that TFMA cannot compute, and Penstock for all."""
    asked = {metric.class_name for spec in config.metrics_specs for metric in spec.metrics}
    if not asked & _BEYOND_TFMA:
        return False
    try:
        evaluation_of(config, schema)
    except Unsupported:
        return False
    return True


def evaluate_tables(
    files: Sequence[str],
    config: Any,
    output_directory: str,
    model: PlacedModel | None = None,
    baseline: PlacedModel | None = None,
    schema: schema_pb2.Schema | None = None,
    beam: BeamOptions = BeamOptions(),
    progress: Callable[..., None] = NodeContext().progress,
) -> None:
    """Evaluate models of any framework on the rows of files, by a completed config.

    Without a model the rows have the predictions. What the engine of Arrow tables does not know is
    left to TFMA, which gets the predictions.

    Raises:
      MissingExtra: TFMA would be needed, and it is not installed.
    """
    places = locations(config, model, baseline)
    try:
        asked = evaluation_of(config, schema)
    except Unsupported as reason:
        if not has_tfma():
            raise _needs_tfma(str(reason)) from None
        print(told("TensorFlow Model Analysis", reason, beam))
        tables = (pa.Table.from_batches([batch]) for batch in read_record_batches(files))
        models = evaluated_models(config, model, baseline)
        with_predictions.evaluate(tables, config, models, output_directory, beam)
        return
    sums = in_parts.summed(files, asked, model, baseline, beam.cluster, progress)
    on_arrow.evaluate(on_arrow.ArrowJob(asked, sums, places, output_directory))


def _needs_tfma(what: str) -> MissingExtra:
    package = "tensorflow_model_analysis"
    return MissingExtra(
        f"the Evaluator leaves {what} to TensorFlow Model Analysis, which is not installed",
        packages=(package,),
        extras=(extras.extra_of(package),),
        hint=f"{extras.install_hint(extras.extra_of(package))} Or leave it out; "
        "docs/evaluation.md says what is evaluated without it.",
    )


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


def completed_config(
    config: Mapping[str, Any],
    has_baseline: bool,
    fairness_indicator_thresholds: Sequence[float] | None = None,
) -> Any:
    """Return the config as a message, with the defaults of TFMA and the metrics of parameters."""
    message = parse(config)
    if fairness_indicator_thresholds:
        specs = message.metrics_specs or [message.metrics_specs.add()]
        settings = json.dumps({"thresholds": list(fairness_indicator_thresholds)})
        specs[0].metrics.add(class_name=FAIRNESS, config=settings)
    return complete(message, has_baseline)


def complete_config(
    eval_config: Mapping[str, Any],
    has_baseline: bool,
    fairness_indicator_thresholds: Sequence[float] | None = None,
) -> EvalConfig:
    """Return the completed config as TFMA's message."""
    return as_tfmas(completed_config(eval_config, has_baseline, fairness_indicator_thresholds))


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
