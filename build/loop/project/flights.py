"""Will a flight arrive 15 or more minutes late? Learned anew from what has arrived."""

from __future__ import annotations

from typing import Any

from penstock import pipeline
from penstock.components import (
    Evaluator,
    ExampleValidator,
    ImportSchemaGen,
    ModelRegistrar,
    ParquetExampleGen,
    RegisteredModel,
    StatisticsGen,
    Trainer,
)
from penstock.data.spans import RangeConfig, RollingRange
from penstock.data.splits import InputConfig, InputSplit


@pipeline
def flights(
    months: int = 3, rounds: int = 60, minimum_auc: float = 0.85, alias: str = "challenger"
) -> list[Any]:
    """Learn from the last months, and register a model that is good enough."""
    examples = ParquetExampleGen(
        input_base="data",
        input_config=InputConfig((InputSplit("month", "month-{SPAN}/*.parquet"),)),
        range_config=RangeConfig(rolling_range=RollingRange(num_spans=months)),
    ).outputs["examples"]
    schema = ImportSchemaGen(schema_file="schema.pbtxt").outputs["schema"]
    validator = ExampleValidator(
        statistics=StatisticsGen(examples=examples).outputs["statistics"],
        schema=schema,
        environment="TRAINING",
        fail_on_anomalies=True,
    )
    trainer = Trainer(
        examples=examples,
        schema=schema,
        module_file="model.py",
        train_fn="train_fn",
        custom_config={"rounds": rounds},
    )
    # Nothing is learned from data that does not pass.
    trainer.add_upstream_node(validator)
    champion = RegisteredModel("flights").with_id("champion")
    evaluator = Evaluator(
        examples=examples,
        model=trainer.outputs["model"],
        baseline_model=champion.outputs["model"],
        eval_config={
            "model_specs": [{"label_key": "arrives_late"}],
            "metrics_specs": [
                {
                    "metrics": [
                        {
                            "class_name": "AUC",
                            "per_slice_thresholds": [
                                {
                                    "slicing_specs": [{}],
                                    "threshold": {
                                        "value_threshold": {"lower_bound": minimum_auc},
                                        "change_threshold": {
                                            "direction": "HIGHER_IS_BETTER",
                                            "absolute": -0.01,
                                        },
                                    },
                                }
                            ],
                        },
                        {"class_name": "BinaryAccuracy"},
                        {"class_name": "Calibration"},
                        {"class_name": "ExampleCount"},
                    ]
                }
            ],
            "slicing_specs": [{}, {"feature_keys": ["origin"]}],
            "options": {"compute_confidence_intervals": True},
        },
    )
    return [
        ModelRegistrar(
            model=trainer.outputs["model"],
            model_blessing=evaluator.outputs["blessing"],
            evaluation=evaluator.outputs["evaluation"],
            name="flights",
            alias=alias,
        ),
        validator,
    ]
