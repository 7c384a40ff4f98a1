"""Pipelines of TFX's components and of both kinds mixed, run as scripts: RUNNER PIPELINE FOLDER.

The runner "ir" runs nothing, but writes the pipeline's IR as JSON, with neutral paths.

Each run is a process of its own, as a user's would be: TFX loads TensorFlow when it is imported.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

from tfx import v1 as tfx

from penstock import with_options
from penstock.components import CsvExampleGen, ExampleValidator, StatisticsGen

TFX_FOLDER = os.path.dirname(os.path.dirname(tfx.__file__))
TAXI_CSV = os.path.join(TFX_FOLDER, "components", "testdata", "external", "csv")
TAXI_EXAMPLE = os.path.join(TFX_FOLDER, "examples", "chicago_taxi_pipeline")
TAXI = "tfx.experimental.templates.taxi.models"


def _pipeline(name: str, folder: str, components: list[Any]) -> Any:
    return tfx.dsl.Pipeline(
        pipeline_name=name,
        pipeline_root=os.path.join(folder, "root"),
        metadata_connection_config=_store(folder),
        components=components,
    )


def _store(folder: str) -> Any:
    return tfx.orchestration.metadata.sqlite_metadata_connection_config(
        os.path.join(folder, "metadata.sqlite")
    )


def tfx_examples(folder: str) -> Any:
    """TFX's ExampleGen and SchemaGen, our StatisticsGen and ExampleValidator."""
    examples = tfx.components.CsvExampleGen(input_base=TAXI_CSV)
    statistics = StatisticsGen(examples=examples.outputs["examples"])
    return _pipeline("tfx-examples", folder, [examples, statistics, *_validation(statistics)])


def our_examples(folder: str) -> Any:
    """Our ExampleGen and ExampleValidator, TFX's StatisticsGen and SchemaGen."""
    examples = CsvExampleGen(input_base=TAXI_CSV)
    statistics = tfx.components.StatisticsGen(examples=examples.outputs["examples"])
    return _pipeline("our-examples", folder, [examples, statistics, *_validation(statistics)])


def _validation(statistics: Any) -> list[Any]:
    schema = tfx.components.SchemaGen(statistics=statistics.outputs["statistics"])
    validator = ExampleValidator(
        statistics=statistics.outputs["statistics"], schema=schema.outputs["schema"]
    )
    return [schema, validator]


def taxi_template(folder: str) -> Any:
    """TFX's taxi template, from the installed package."""
    from tfx.experimental.templates.taxi.pipeline import pipeline

    return pipeline.create_pipeline(
        pipeline_name="taxi",
        pipeline_root=os.path.join(folder, "root"),
        data_path=TAXI_CSV,
        preprocessing_fn=f"{TAXI}.preprocessing.preprocessing_fn",
        run_fn=f"{TAXI}.keras_model.model.run_fn",
        train_args=tfx.proto.TrainArgs(num_steps=20),
        eval_args=tfx.proto.EvalArgs(num_steps=5),
        eval_accuracy_threshold=0.1,
        serving_model_dir=os.path.join(folder, "serving"),
        metadata_connection_config=_store(folder),
    )


def other_processes(folder: str) -> Any:
    """A Transform of TFX's executor with a module file, for which Beam starts processes."""
    examples = tfx.components.CsvExampleGen(input_base=TAXI_CSV)
    statistics = tfx.components.StatisticsGen(examples=examples.outputs["examples"])
    schema = tfx.components.SchemaGen(
        statistics=statistics.outputs["statistics"], infer_feature_shape=True
    )
    transform = tfx.components.Transform(
        examples=examples.outputs["examples"],
        schema=schema.outputs["schema"],
        module_file=os.path.join(TAXI_EXAMPLE, "taxi_utils_native_keras.py"),
        disable_statistics=True,
    ).with_beam_pipeline_args(["--direct_running_mode=multi_processing", "--direct_num_workers=2"])
    own = with_options(transform, accelerate=False)
    return _pipeline("other-processes", folder, [examples, statistics, schema, own])


def whole_taxi(folder: str) -> Any:
    """All that TFX's taxi template defines, of which it leaves most out until a user asks."""
    import tensorflow_model_analysis as tfma

    examples = tfx.components.CsvExampleGen(input_base=TAXI_CSV)
    statistics = tfx.components.StatisticsGen(examples=examples.outputs["examples"])
    schema = tfx.components.SchemaGen(statistics=statistics.outputs["statistics"])
    validator = tfx.components.ExampleValidator(
        statistics=statistics.outputs["statistics"], schema=schema.outputs["schema"]
    )
    transform = tfx.components.Transform(
        examples=examples.outputs["examples"],
        schema=schema.outputs["schema"],
        preprocessing_fn=f"{TAXI}.preprocessing.preprocessing_fn",
    )
    trainer = tfx.components.Trainer(
        run_fn=f"{TAXI}.keras_model.model.run_fn",
        examples=transform.outputs["transformed_examples"],
        transform_graph=transform.outputs["transform_graph"],
        schema=schema.outputs["schema"],
        train_args=tfx.proto.TrainArgs(num_steps=int(os.environ.get("STEPS", "5"))),
        eval_args=tfx.proto.EvalArgs(num_steps=1),
    )
    evaluator = tfx.components.Evaluator(
        examples=examples.outputs["examples"],
        model=trainer.outputs["model"],
        eval_config=tfma.EvalConfig(
            model_specs=[
                tfma.ModelSpec(
                    signature_name="serving_default",
                    label_key="tips_xf",
                    preprocessing_function_names=["transform_features"],
                )
            ],
            slicing_specs=[tfma.SlicingSpec()],
            metrics_specs=[
                tfma.MetricsSpec(metrics=[tfma.MetricConfig(class_name="BinaryAccuracy")])
            ],
        ),
    )
    nodes = [examples, statistics, schema, validator, transform, trainer, evaluator]
    return _pipeline("taxi", folder, nodes)


def _ir_text(pipeline: Any, folder: str) -> str:
    from google.protobuf import json_format

    from penstock import compile_pipeline

    text = json_format.MessageToJson(
        compile_pipeline(pipeline), preserving_proto_field_name=True, sort_keys=True
    )
    return text.replace(folder, "/home/me").replace(TFX_FOLDER, "/opt/venv/site-packages/tfx")


def all_of_tfx(folder: str) -> Any:
    """Every component that a TFX pipeline usually has, with a resolver, an importer and a Cond."""
    data = tfx.dsl.experimental.RuntimeParameter(name="data", ptype=str, default="s3://taxi/csv")
    examples = tfx.components.CsvExampleGen(input_base=data)
    statistics = tfx.components.StatisticsGen(examples=examples.outputs["examples"])
    schema = tfx.components.SchemaGen(statistics=statistics.outputs["statistics"])
    validator = tfx.components.ExampleValidator(
        statistics=statistics.outputs["statistics"], schema=schema.outputs["schema"]
    )
    transform = tfx.components.Transform(
        examples=examples.outputs["examples"],
        schema=schema.outputs["schema"],
        module_file=os.path.join(folder, "taxi", "preprocessing.py"),
    )
    hyperparameters = tfx.dsl.Importer(
        source_uri="s3://models/hyperparameters",
        artifact_type=tfx.types.standard_artifacts.HyperParameters,
    ).with_id("hyperparameters")
    trainer = tfx.components.Trainer(
        module_file=os.path.join(folder, "taxi", "model.py"),
        examples=transform.outputs["transformed_examples"],
        transform_graph=transform.outputs["transform_graph"],
        schema=schema.outputs["schema"],
        hyperparameters=hyperparameters.outputs["result"],
        train_args=tfx.proto.TrainArgs(num_steps=100),
        eval_args=tfx.proto.EvalArgs(num_steps=5),
    )
    blessed = tfx.dsl.Resolver(
        strategy_class=tfx.dsl.experimental.LatestBlessedModelStrategy,
        model=tfx.dsl.Channel(type=tfx.types.standard_artifacts.Model),
        model_blessing=tfx.dsl.Channel(type=tfx.types.standard_artifacts.ModelBlessing),
    ).with_id("latest_blessed_model")
    evaluator = tfx.components.Evaluator(
        examples=examples.outputs["examples"],
        model=trainer.outputs["model"],
        baseline_model=blessed.outputs["model"],
    )
    blessing = evaluator.outputs["blessing"].future()[0]
    with tfx.dsl.Cond(blessing.custom_property("blessed") == 1):
        pusher = tfx.components.Pusher(
            model=trainer.outputs["model"],
            push_destination=tfx.proto.PushDestination(
                filesystem=tfx.proto.PushDestination.Filesystem(base_directory="s3://serving/taxi")
            ),
        )
    nodes = [examples, statistics, schema, validator, transform, hyperparameters]
    return _pipeline("taxi", folder, [*nodes, trainer, blessed, evaluator, pusher])


def main(runner: str, pipeline: str, folder: str) -> None:
    made = globals()[pipeline](folder)
    if runner == "tfx":
        tfx.orchestration.LocalDagRunner().run(made)
        return
    if runner == "ir":
        print(_ir_text(made, folder))
        return
    from penstock import LocalRunner

    result = LocalRunner().run(made, raise_on_failure=False)
    print(json.dumps({name: node.state.value for name, node in result.nodes.items()}))


if __name__ == "__main__":
    main(*sys.argv[1:])
