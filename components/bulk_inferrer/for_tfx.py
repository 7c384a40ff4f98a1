"""The work of TFX's BulkInferrer."""

from __future__ import annotations

from dataclasses import dataclass, field

from penstock.authoring.standing_in import TfxNode, stands_in_for
from penstock.components.bulk_inferrer.specs import DataSpec, ModelSpec, OutputExampleSpec
from penstock.components.standing_in import unusual_examples
from penstock.models import layout
from penstock.models.loading import facts_of

_TENSORFLOW = "tensorflow"


@dataclass(frozen=True)
class Parameters:
    """What may be set of TFX's BulkInferrer."""

    data_spec: DataSpec = field(default_factory=DataSpec)
    model_spec: ModelSpec = field(default_factory=ModelSpec)
    output_example_spec: OutputExampleSpec | None = None


def _obstacle(node: TfxNode, parameters: Parameters) -> str:
    if len(node.inputs["examples"]) > 1:
        return "there are several examples"
    if parameters.model_spec.tag:
        return "the tag of model_spec is set"
    if len(parameters.model_spec.model_signature_name) > 1:
        return "model_spec has several signatures"
    if facts_of(layout.serving_model(node.input("model").uri)).flavor != _TENSORFLOW:
        return "the model is no SavedModel"
    return unusual_examples(node.inputs["examples"])


@stands_in_for(
    "tfx.components.bulk_inferrer.executor.Executor",
    preload=("tensorflow",),
    obstacle=_obstacle,
)
def Executor(node: TfxNode, parameters: Parameters) -> None:
    """Predict for the rows of examples, unless a blessing says that the model is not good."""
    from penstock.components.bulk_inferrer import executor

    blessing = node.optional_input("model_blessing")
    if blessing is not None and blessing.get_int_custom_property("blessed") != 1:
        print(f"Nothing is predicted: {blessing.uri} says no.")
        return
    executor.infer(
        examples=list(node.inputs["examples"]),
        model=node.input("model"),
        inference_result=node.output("inference_result"),
        output_examples=node.output("output_examples"),
        model_blessing=None,
        data=parameters.data_spec,
        asked=parameters.model_spec,
        columns=parameters.output_example_spec,
        cluster=node.beam.cluster,
        progress=node.context.progress,
    )
