"""Late arrivals of flights once more, with a model of any framework and without TensorFlow."""

from __future__ import annotations

from typing import Any

from penstock import pipeline
from penstock.components import (
    Evaluator,
    ImportSchemaGen,
    InfraValidator,
    LatestBlessedModel,
    MergeTables,
    ParquetExampleGen,
    Pusher,
    Trainer,
)
from penstock.components.pusher.component import Filesystem, PushDestination
from penstock.data.spans import RangeConfig, RollingRange
from penstock.data.splits import InputConfig, InputSplit
from penstock.pipelines.flights import merged_table
from penstock.pipelines.flights.evaluation import eval_config
from penstock.pipelines.flights.source import NycFlights
from penstock.schemas import schema_file


def model_of(framework: str) -> Any:
    """Return the pipeline of one framework; each has its history of models of its own.

    What comes before the Trainer is the same in all of them.
    """

    @pipeline(name=f"flights_{framework}")
    def flights_of_framework(
        rounds: int = 0,
        push_directory: str = f"serving/flights_{framework}",
        minimum_auc: float = 0.9,
    ) -> list[Any]:
        """Predict late arrivals; 0 rounds are those that suit the framework."""
        source = NycFlights()
        merged = MergeTables(
            sources=source.outputs["tables"],
            base=merged_table.FLIGHTS,
            joins=merged_table.JOINS,
            derived=merged_table.DERIVED,
            columns=merged_table.COLUMNS,
            span_column="month",
            last_span=12,
        )
        examples = ParquetExampleGen(
            input_base=merged.outputs["tables"].future()[0].uri,
            input_config=InputConfig((InputSplit("single_split", "span-{SPAN:2}/*.parquet"),)),
            range_config=RangeConfig(rolling_range=RollingRange(num_spans=12)),
        ).outputs["examples"]
        schema = ImportSchemaGen(schema_file=schema_file("flights")).outputs["schema"]
        trainer = Trainer(
            examples=examples,
            schema=schema,
            module_path="penstock.pipelines.flights.frameworks.models",
            train_fn=f"{framework}_model",
            custom_config={"rounds": rounds},
        )
        model = trainer.outputs["model"]
        blessed = LatestBlessedModel().with_id("latest_blessed_model")
        evaluator = Evaluator(
            examples=examples,
            model=model,
            baseline_model=blessed.outputs["model"],
            schema=schema,
            eval_config=eval_config(minimum_auc),
        )
        return [
            Pusher(
                model=model,
                model_blessing=evaluator.outputs["blessing"],
                infra_blessing=InfraValidator(model=model).outputs["blessing"],
                push_destination=PushDestination(Filesystem(push_directory)),
            )
        ]

    return flights_of_framework


keras = model_of("keras")
lightgbm = model_of("lightgbm")
sklearn = model_of("sklearn")
torch = model_of("torch")
xgboost = model_of("xgboost")
