"""BulkInferrer: predictions of a model for all rows of examples."""

from __future__ import annotations

from typing import Any

from penstock import BeamOptions, Input, NodeContext, Output, component
from penstock.artifacts import Examples, InferenceResult, Model, ModelBlessing
from penstock.authoring.component import NodeOutline
from penstock.components.bulk_inferrer.specs import DataSpec, ModelSpec, OutputExampleSpec


def _preload(node: NodeOutline) -> tuple[str, ...]:
    """Return what the model is made with."""
    return node.modules.get("model", ())


def absent_outputs(parameters: dict[str, Any]) -> set[str]:
    """Return the output that the parameters switch off: there is one of the two."""
    has_spec = parameters["output_example_spec"] is not None
    return {"inference_result" if has_spec else "output_examples"}


@component(preload=_preload, absent_outputs=absent_outputs)
def BulkInferrer(
    examples: Input[list[Examples]],
    model: Input[Model],
    inference_result: Output[InferenceResult] | None = None,
    output_examples: Output[Examples] | None = None,
    model_blessing: Input[ModelBlessing] | None = None,
    data_spec: DataSpec = DataSpec(),
    model_spec: ModelSpec = ModelSpec(),
    output_example_spec: OutputExampleSpec | None = None,
    beam: BeamOptions = BeamOptions(),
    context: NodeContext = NodeContext(),
) -> None:
    """Predict for the rows of examples, by a model of any flavor.

    Without `output_example_spec` the output is `inference_result`, a PredictionLog a row, as
    TensorFlow Serving's; with it, `output_examples`, the rows with columns of predictions. A model
    that `model_blessing` does not bless predicts nothing. Few rows are in memory at a time.

    Raises:
      DataError: a split is missing, or a row is not what the model takes.
      ParameterError: the specs ask for what the model does not give.
    """
    from penstock.components.bulk_inferrer import executor

    executor.infer(
        examples=examples,
        model=model,
        inference_result=inference_result,
        output_examples=output_examples,
        model_blessing=model_blessing,
        data=data_spec,
        asked=model_spec,
        columns=output_example_spec,
        cluster=beam.only_cluster(),
        progress=context.progress,
    )
