"""One pipeline, written for TFX and for Penstock, with the same user code and configuration."""

from __future__ import annotations

from pathlib import Path
from typing import Any

USER_CODE = str(Path(__file__).with_name("user_code.py"))
LABEL = "generous"
TRAIN_STEPS = 200
SLICES = ("payment_type", "trip_start_hour")
NODES = (
    "CsvExampleGen",
    "StatisticsGen",
    "SchemaGen",
    "ExampleValidator",
    "Transform",
    "Trainer",
    "Evaluator",
)
EVALUATION: dict[str, Any] = {
    "model_specs": [{"signature_name": "serving_default", "label_key": LABEL}],
    "slicing_specs": [
        {},
        {"feature_keys": ["payment_type"]},
        {"feature_keys": ["trip_start_hour"]},
    ],
    "metrics_specs": [
        {"metrics": [{"class_name": name} for name in ("ExampleCount", "BinaryAccuracy", "AUC")]}
    ],
}


def for_penstock(data: str) -> Any:
    """Return the pipeline of Penstock's components."""
    from penstock import components as library
    from penstock import pipeline
    from penstock.components.trainer.component import TrainArgs

    @pipeline
    def rides() -> list[Any]:
        """Will the tip be generous?"""
        examples = library.CsvExampleGen(input_base=data).outputs["examples"]
        statistics = library.StatisticsGen(examples=examples).outputs["statistics"]
        schema = library.SchemaGen(statistics=statistics).outputs["schema"]
        validator = library.ExampleValidator(statistics=statistics, schema=schema)
        transform = library.Transform(examples=examples, schema=schema, module_file=USER_CODE)
        trainer = library.Trainer(
            examples=transform.outputs["transformed_examples"],
            transform_graph=transform.outputs["transform_graph"],
            schema=schema,
            module_file=USER_CODE,
            train_args=TrainArgs(num_steps=TRAIN_STEPS),
        )
        evaluator = library.Evaluator(
            examples=examples, model=trainer.outputs["model"], eval_config=EVALUATION
        )
        return [validator, evaluator]

    return rides


def for_tfx(data: str, root: str, store: str) -> Any:
    """Return the pipeline of TFX's components."""
    import tensorflow_model_analysis as tfma
    from google.protobuf import json_format
    from tfx import v1 as tfx

    library = tfx.components
    example_gen = library.CsvExampleGen(input_base=data)
    examples = example_gen.outputs["examples"]
    statistics_gen = library.StatisticsGen(examples=examples)
    statistics = statistics_gen.outputs["statistics"]
    schema_gen = library.SchemaGen(statistics=statistics)
    schema = schema_gen.outputs["schema"]
    validator = library.ExampleValidator(statistics=statistics, schema=schema)
    # Named by import path: given as files, TFX builds and installs wheels of them with pip.
    transform = library.Transform(
        examples=examples, schema=schema, preprocessing_fn="user_code.preprocessing_fn"
    )
    trainer = library.Trainer(
        examples=transform.outputs["transformed_examples"],
        transform_graph=transform.outputs["transform_graph"],
        schema=schema,
        run_fn="user_code.run_fn",
        train_args=tfx.proto.TrainArgs(num_steps=TRAIN_STEPS),
        eval_args=tfx.proto.EvalArgs(),
    )
    evaluator = library.Evaluator(
        examples=examples,
        model=trainer.outputs["model"],
        eval_config=json_format.ParseDict(EVALUATION, tfma.EvalConfig()),
    )
    return tfx.dsl.Pipeline(
        pipeline_name="rides",
        pipeline_root=root,
        metadata_connection_config=tfx.orchestration.metadata.sqlite_metadata_connection_config(
            store
        ),
        components=[
            example_gen,
            statistics_gen,
            schema_gen,
            validator,
            transform,
            trainer,
            evaluator,
        ],
        enable_cache=False,
    )
