"""A pipeline that trains a model, validates it for serving, predicts with it, and pushes it."""

from __future__ import annotations

from typing import Any

from penstock import pipeline
from penstock.components import BulkInferrer, CsvExampleGen, InfraValidator, Pusher, Trainer
from penstock.components.bulk_inferrer.specs import (
    ClassifyOutput,
    OutputColumnsSpec,
    OutputExampleSpec,
)
from penstock.components.infra_validator.limits import RequestSpec
from penstock.components.pusher.component import Filesystem, PushDestination
from penstock.models import TrainedModel, Training

LABEL = "stays"


def train(training: Training) -> TrainedModel:
    """Train a classifier of who stays, by age."""
    from sklearn.linear_model import LogisticRegression

    rows = training.train.as_arrow()
    model = LogisticRegression(max_iter=1000)
    model.fit(rows.select(["age"]).to_pandas(), rows.column(LABEL).to_pylist())
    return TrainedModel(model, inputs=("age",))


@pipeline(name="people")
def people(data: str, push_directory: str) -> list[Any]:
    """Train on the CSV files of a folder, and push what can be served."""
    examples = CsvExampleGen(input_base=data).outputs["examples"]
    model = Trainer(examples=examples, train_fn=train).outputs["model"]
    validator = InfraValidator(
        model=model, examples=examples, request_spec=RequestSpec(num_examples=3, make_warmup=True)
    )
    spec = OutputColumnsSpec(classify_output=ClassifyOutput("labels", "scores"))
    return [
        BulkInferrer(
            examples=examples, model=model, output_example_spec=OutputExampleSpec((spec,))
        ),
        Pusher(
            model=model,
            infra_blessing=validator.outputs["blessing"],
            push_destination=PushDestination(Filesystem(push_directory)),
        ),
    ]
