"""Evaluator: measure a model slice by slice, and bless it if it is good enough."""

from __future__ import annotations

from typing import Any

from penstock import BeamOptions, Input, NodeContext, Output, component
from penstock.artifacts import Examples, Model, ModelBlessing, ModelEvaluation, Schema


@component(preload=("tensorflow_model_analysis",), system_type="evaluate")
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
    """Evaluate a model with TensorFlow Model Analysis, and bless it if its thresholds hold.

    `eval_config` is a `tfma.EvalConfig`, or its JSON form as a dict. Without `example_splits` the
    split `eval` is used. Without a baseline model the change thresholds do not count; without any
    threshold the model is neither blessed nor not. `fairness_indicator_thresholds` adds TFMA's
    FairnessIndicators at these thresholds to the metrics. The optional functions
    `custom_eval_shared_model` and `custom_extractors` come from `module_file`, the path of a
    Python file, or `module_path`, the name of a module.

    Raises:
      ParameterError: the config cannot be used.
      DataError: a split or a model is missing.
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
