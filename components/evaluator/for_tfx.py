"""The work of TFX's Evaluator."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from penstock.authoring.standing_in import TfxNode, stands_in_for
from penstock.components.evaluator.evaluated_models import is_saved_model
from penstock.components.standing_in import unusual_examples

# Of Estimators, whose graphs TFMA asks on Beam alone.
_LEGACY_TYPES = ("tfma_eval", "tf_estimator")


@dataclass(frozen=True)
class Parameters:
    """What may be set of TFX's Evaluator, whose executor looks at some of it not at all."""

    eval_config: dict[str, Any]
    feature_slicing_spec: None = None
    fairness_indicator_thresholds: Any = None
    example_splits: list[str] | None = None
    add_split_name: None = None
    module_file: str | None = None
    module_path: None = None


def _obstacle(node: TfxNode, parameters: Parameters) -> str:
    for spec in parameters.eval_config.get("model_specs", ()):
        if spec.get("signature_name") == "eval" or spec.get("model_type") in _LEGACY_TYPES:
            return "a model spec is of an Estimator's graph"
    for key in ("model", "baseline_model"):
        artifact = node.optional_input(key)
        if artifact is not None and not is_saved_model(artifact):
            return f"the {key} is no SavedModel"
    return unusual_examples(node.inputs["examples"])


@stands_in_for(
    "tfx.components.evaluator.executor.Executor",
    preload=("tensorflow_model_analysis",),
    obstacle=_obstacle,
)
def Executor(node: TfxNode, parameters: Parameters) -> None:
    """Evaluate a model, and bless it where there are thresholds and they hold.

    Unlike our Evaluator it is silent where all thresholds are of changes and there is no baseline.
    """
    from penstock.components.evaluator import executor
    from penstock.components.evaluator.eval_config import has_thresholds
    from penstock.data.results.evaluation import read_validation

    model = node.optional_input("model")
    baseline = node.optional_input("baseline_model")
    schema = node.optional_input("schema")
    evaluation, blessing = node.output("evaluation"), node.output("blessing")
    config = executor.evaluate_files(
        examples=list(node.inputs["examples"]),
        evaluation_uri=evaluation.uri,
        eval_config=parameters.eval_config,
        model=model,
        baseline_model=baseline,
        schema_uri=schema and schema.uri,
        example_splits=parameters.example_splits,
        module_file=parameters.module_file,
        progress=node.context.progress,
        beam=node.beam.without_beam(),
        tells_undefined=False,
    )
    if not has_thresholds(config):
        return
    for name, artifact in (("current_model", model), ("baseline_model", baseline)):
        if artifact is not None:
            blessing.set_string_custom_property(name, artifact.uri)
            blessing.set_int_custom_property(f"{name}_id", artifact.id)
    blessed = read_validation(evaluation.uri).validation_ok
    Path(blessing.uri, "BLESSED" if blessed else "NOT_BLESSED").touch()
    blessing.set_int_custom_property("blessed", int(blessed))
