"""Which species is this penguin? A whole pipeline on 344 rows."""

from __future__ import annotations

from typing import Any

from penstock import pipeline
from penstock.components import (
    CsvExampleGen,
    Evaluator,
    ExampleValidator,
    ImportSchemaGen,
    LatestBlessedModel,
    Pusher,
    StatisticsGen,
    Trainer,
    Transform,
)
from penstock.components.pusher.component import Filesystem, PushDestination
from penstock.components.trainer.component import TrainArgs
from penstock.pipelines.penguins.evaluation import eval_config
from penstock.pipelines.penguins.source import PenguinsCsv
from penstock.schemas import schema_file

CODE = "penstock.pipelines.penguins"


@pipeline(name="penguins")
def penguins(
    data_root: str = "",
    train_steps: int = 300,
    push_directory: str = "serving/penguins",
    minimum_accuracy: float = 0.9,
) -> list[Any]:
    """Tell the species of a penguin from four measurements.

    The CSV files of the folder `data_root` are read; by default those of palmerpenguins.
    """
    source = PenguinsCsv(data_root=data_root)
    example_gen = CsvExampleGen(input_base=source.outputs["tables"].future()[0].uri)
    examples = example_gen.outputs["examples"]
    statistics_gen = StatisticsGen(examples=examples)
    schema = ImportSchemaGen(schema_file=schema_file("penguins")).outputs["schema"]
    validator = ExampleValidator(
        statistics=statistics_gen.outputs["statistics"],
        schema=schema,
        environment="TRAINING",
        fail_on_anomalies=True,
    )
    transform = Transform(examples=examples, schema=schema, module_path=f"{CODE}.preprocessing")
    trainer = Trainer(
        examples=transform.outputs["transformed_examples"],
        transform_graph=transform.outputs["transform_graph"],
        schema=schema,
        module_path=f"{CODE}.model",
        train_args=TrainArgs(num_steps=train_steps),
    )
    blessed = LatestBlessedModel().with_id("latest_blessed_model")
    evaluator = Evaluator(
        examples=examples,
        model=trainer.outputs["model"],
        baseline_model=blessed.outputs["model"],
        schema=schema,
        eval_config=eval_config(minimum_accuracy),
    )
    pusher = Pusher(
        model=trainer.outputs["model"],
        model_blessing=evaluator.outputs["blessing"],
        push_destination=PushDestination(Filesystem(push_directory)),
    )
    pusher.add_upstream_node(validator)
    return [pusher]
