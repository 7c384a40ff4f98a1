"""Will a flight arrive 15 or more minutes late? From raw tables to a model that is served."""

from __future__ import annotations

from typing import Any

from penstock import pipeline
from penstock.components import (
    Evaluator,
    ExampleValidator,
    ImportSchemaGen,
    LatestArtifact,
    LatestBlessedModel,
    MergeTables,
    ParquetExampleGen,
    Pusher,
    StatisticsGen,
    Trainer,
    Transform,
)
from penstock.components.pusher.component import Filesystem, PushDestination
from penstock.components.trainer.component import TrainArgs
from penstock.data.spans import RangeConfig, RollingRange
from penstock.data.splits import InputConfig, InputSplit
from penstock.pipelines.flights import merged_table
from penstock.pipelines.flights.evaluation import eval_config
from penstock.pipelines.flights.source import NycFlights
from penstock.schemas import schema_file

CODE = "penstock.pipelines.flights"


@pipeline(name="flights")
def flights(
    train_steps: int = 3000,
    push_directory: str = "serving/flights",
    through_month: int = 12,
    months: int = 12,
    minimum_auc: float = 0.9,
    stop_on_anomalies: bool = True,
) -> list[Any]:
    """Predict late arrivals of the flights that leave New York City.

    `months` months up to `through_month` are learned from; a model whose AUC is below
    `minimum_auc`, or clearly below that of the last blessed one, is not pushed.
    """
    source = NycFlights()
    merged = MergeTables(
        sources=source.outputs["tables"],
        base=merged_table.FLIGHTS,
        joins=merged_table.JOINS,
        derived=merged_table.DERIVED,
        columns=merged_table.COLUMNS,
        span_column="month",
        last_span=through_month,
    )
    example_gen = ParquetExampleGen(
        input_base=merged.outputs["tables"].future()[0].uri,
        input_config=InputConfig((InputSplit("single_split", "span-{SPAN:2}/*.parquet"),)),
        range_config=RangeConfig(rolling_range=RollingRange(num_spans=months)),
    )
    examples = example_gen.outputs["examples"]
    statistics_gen = StatisticsGen(examples=examples)
    statistics = statistics_gen.outputs["statistics"]
    schema = ImportSchemaGen(schema_file=schema_file("flights")).outputs["schema"]
    previous = LatestArtifact(statistics, key="statistics").with_id("previous_statistics")
    validator = ExampleValidator(
        statistics=statistics,
        schema=schema,
        previous_statistics=previous.outputs["statistics"],
        environment="TRAINING",
        fail_on_anomalies=stop_on_anomalies,
    )
    transform = Transform(examples=examples, schema=schema, module_path=f"{CODE}.preprocessing")
    # Nothing is learned from data that does not pass.
    transform.add_upstream_node(validator)
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
        eval_config=eval_config(minimum_auc),
    )
    pusher = Pusher(
        model=trainer.outputs["model"],
        model_blessing=evaluator.outputs["blessing"],
        push_destination=PushDestination(Filesystem(push_directory)),
    )
    return [pusher, validator]
