"""Evaluator: measure a model slice by slice, and bless it if it is good enough."""

from __future__ import annotations

from typing import Any

from penstock import BeamOptions, Input, NodeContext, Output, component
from penstock.artifacts import Examples, Model, ModelBlessing, ModelEvaluation, Schema
from penstock.authoring.component import NodeOutline

# With these a model is made that TFMA evaluates.
_TENSORFLOW = ("tensorflow_transform", "tfx.components")


def _preload(node: NodeOutline) -> tuple[str, ...]:
    """Return TFMA for models of TFX, or where users have functions of TFMA, else their framework.

    Of a model that comes from outside of the pipeline, the node knows when it runs.
    """
    made_with = node.modules.get("model", ())
    has_module = node.parameters.get("module_file") or node.parameters.get("module_path")
    if has_module or any(name.startswith(_TENSORFLOW) for name in made_with):
        return ("tensorflow_model_analysis",)
    return made_with


@component(preload=_preload, system_type="evaluate")
def Evaluator(
    examples: Input[list[Examples]],
    evaluation: Output[ModelEvaluation],
    blessing: Output[ModelBlessing],
    eval_config: dict[str, Any],
    model: Input[Model] | None = None,
    baseline_model: Input[Model] | None = None,
    schema: Input[Schema] | None = None,
    example_splits: list[str] | None = None,
    fairness_indicator_thresholds: list[float] | None = None,
    module_file: str | None = None,
    module_path: str | None = None,
    beam: BeamOptions = BeamOptions(),
    context: NodeContext = NodeContext(),
) -> None:
    """Evaluate a model of any framework, and bless it if its thresholds hold.

    `eval_config` is a `tfma.EvalConfig`, or its JSON form as a dict. SavedModels are evaluated by
    TensorFlow Model Analysis where it is installed; models of other frameworks without it, by the
    same metrics. Without `example_splits` the split `eval` is used. Without a baseline model the
    change thresholds do not count; without any threshold the model is neither blessed nor not.
    `fairness_indicator_thresholds` adds TFMA's FairnessIndicators at these thresholds to the
    metrics. The optional functions `custom_eval_shared_model` and `custom_extractors`, for
    SavedModels, come from `module_file`, the path of a Python file, or `module_path`, the name of
    a module.

    Raises:
      ParameterError: the config cannot be used.
      DataError: a split or a model is missing, or rows cannot be evaluated.
      MissingExtra: what is asked for needs TensorFlow Model Analysis, which is not installed.
    """
    from penstock.components.evaluator import executor

    executor.evaluate(
        examples=examples,
        evaluation=evaluation,
        blessing=blessing,
        eval_config=eval_config,
        model=model,
        baseline_model=baseline_model,
        schema_uri=schema and schema.uri,
        example_splits=example_splits,
        fairness_indicator_thresholds=fairness_indicator_thresholds,
        module_file=module_file,
        module_path=module_path,
        component_id=context.node_id,
        progress=context.progress,
        beam=beam,
    )
