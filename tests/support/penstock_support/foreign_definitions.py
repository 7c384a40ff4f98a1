"""Definitions of TFX pipelines, with all that a definition may use.

Annotations are evaluated, as TFX wants those of its components.
"""

from typing import Any

import tensorflow_model_analysis as tfma
from tfx import v1 as tfx
from tfx.components import FileBasedExampleGen
from tfx.components.example_gen.custom_executors import parquet_executor
from tfx.components.trainer.executor import GenericExecutor
from tfx.dsl.components.base import executor_spec
from tfx.dsl.control_flow.for_each import ForEach
from tfx.dsl.placeholder.placeholder import environment_variable
from tfx.experimental.templates.penguin.pipeline import pipeline as penguin
from tfx.experimental.templates.taxi.pipeline import pipeline as taxi

ROOT = "/home/me/root"
PARTS: dict[str, Any] = {
    "pipeline_root": ROOT,
    "data_path": "/home/me/data",
    "preprocessing_fn": "models.preprocessing.preprocessing_fn",
    "run_fn": "models.model.run_fn",
    "train_args": tfx.proto.TrainArgs(num_steps=100),
    "eval_args": tfx.proto.EvalArgs(num_steps=15),
    "eval_accuracy_threshold": 0.6,
    "serving_model_dir": "/home/me/serving",
    "beam_pipeline_args": ["--runner=DirectRunner", "--direct_num_workers=2"],
}


def taxi_template() -> Any:
    """TFX's own template."""
    return taxi.create_pipeline(pipeline_name="taxi", **PARTS)


def penguin_template() -> Any:
    """TFX's other template, with a schema that is there."""
    return penguin.create_pipeline(pipeline_name="penguin", schema_path="/home/me/schema", **PARTS)


@tfx.dsl.components.component
def Counted(
    examples: tfx.dsl.components.InputArtifact[tfx.types.standard_artifacts.Examples],
    model: tfx.dsl.components.OutputArtifact[tfx.types.standard_artifacts.Model],
    least: tfx.dsl.components.Parameter[int] = 3,
) -> tfx.dsl.components.OutputDict(count=int):
    """A component of TFX's that is a function."""
    model.set_string_custom_property("made", examples.uri)
    return {"count": least}


def of_everything() -> Any:
    """Custom executors and components, resolvers, conditions, loops, placeholders, parameters."""
    rows = tfx.dsl.experimental.RuntimeParameter(name="rows", ptype=str, default="/home/me/rows")
    imported = tfx.components.ImportExampleGen(input_base=rows).with_id("Imported")
    parquet = FileBasedExampleGen(
        input_base="/home/me/parquet",
        custom_executor_spec=executor_spec.BeamExecutorSpec(parquet_executor.Executor),
        output_config=tfx.proto.Output(
            split_config=tfx.proto.SplitConfig(
                splits=[tfx.proto.SplitConfig.Split(name="train", hash_buckets=3)]
            )
        ),
    )
    workers = environment_variable("WORKERS")
    parquet.with_beam_pipeline_args(["--direct_num_workers", workers])
    counted = Counted(examples=parquet.outputs["examples"], least=5)
    count = counted.outputs["count"].future()[0].value
    again = Counted(examples=parquet.outputs["examples"], least=count).with_id("again")
    trainer = tfx.components.Trainer(
        run_fn="models.model.run_fn",
        custom_executor_spec=executor_spec.ExecutorClassSpec(GenericExecutor),
        examples=imported.outputs["examples"],
        train_args=tfx.proto.TrainArgs(num_steps=1),
        eval_args=tfx.proto.EvalArgs(num_steps=1),
        custom_config={"layers": [8, 4]},
    )
    latest = tfx.dsl.Resolver(
        strategy_class=tfx.dsl.experimental.LatestBlessedModelStrategy,
        model=tfx.dsl.Channel(type=tfx.types.standard_artifacts.Model),
        model_blessing=tfx.dsl.Channel(type=tfx.types.standard_artifacts.ModelBlessing),
    ).with_id("latest")
    evaluator = tfx.components.Evaluator(
        examples=imported.outputs["examples"],
        model=trainer.outputs["model"],
        baseline_model=latest.outputs["model"],
        eval_config=tfma.EvalConfig(
            model_specs=[tfma.ModelSpec(label_key="label")], slicing_specs=[tfma.SlicingSpec()]
        ),
    )
    blessing = evaluator.outputs["blessing"].future()[0]
    with tfx.dsl.Cond(blessing.custom_property("blessed") == 1):
        pusher = tfx.components.Pusher(
            model=trainer.outputs["model"],
            push_destination=tfx.proto.PushDestination(
                filesystem=tfx.proto.PushDestination.Filesystem(base_directory="/home/me/serving")
            ),
        )
    nodes = [imported, parquet, counted, again, trainer, latest, evaluator, pusher]
    return tfx.dsl.Pipeline("everything", ROOT, components=nodes)


def of_a_loop() -> Any:
    """A component for each of what another gives out."""
    examples = tfx.components.CsvExampleGen(input_base="/home/me/rows")
    with ForEach(examples.outputs["examples"]) as one:
        counted = Counted(examples=one)
    return tfx.dsl.Pipeline("loop", ROOT, components=[examples, counted])


def of_a_store_in_the_folder() -> Any:
    """A store that is named without a folder, which TFX makes."""
    return tfx.dsl.Pipeline(
        "store",
        ROOT,
        components=[tfx.components.CsvExampleGen(input_base="/home/me/rows")],
        metadata_connection_config=tfx.orchestration.metadata.sqlite_metadata_connection_config(
            "metadata.db"
        ),
    )


def of_statistics_that_are_told() -> Any:
    """Options of TFDV, which a definition makes."""
    import tensorflow_data_validation as tfdv

    examples = tfx.components.CsvExampleGen(input_base="/home/me/rows")
    statistics = tfx.components.StatisticsGen(
        examples=examples.outputs["examples"], stats_options=tfdv.StatsOptions(num_top_values=7)
    )
    return tfx.dsl.Pipeline("statistics", ROOT, components=[examples, statistics])


def of_tuning() -> Any:
    """TFX's Tuner, whose module needs Keras."""
    examples = tfx.components.CsvExampleGen(input_base="/home/me/rows")
    tuner = tfx.components.Tuner(
        examples=examples.outputs["examples"], tuner_fn="models.model.tuner_fn"
    )
    return tfx.dsl.Pipeline("tuning", ROOT, components=[examples, tuner])


def of_own_executors() -> Any:
    """Executors that are derived from TFX's."""
    from penstock_support.foreign_executors import OnBeam, OwnGen, OwnTrainerExecutor

    examples = OwnGen(input_base="/home/me/rows")
    trainer = tfx.components.Trainer(
        run_fn="models.model.run_fn",
        custom_executor_spec=executor_spec.ExecutorClassSpec(OwnTrainerExecutor),
        examples=examples.outputs["examples"],
        train_args=tfx.proto.TrainArgs(num_steps=1),
        eval_args=tfx.proto.EvalArgs(num_steps=1),
    )
    return tfx.dsl.Pipeline("executors", ROOT, components=[examples, trainer, OnBeam()])
