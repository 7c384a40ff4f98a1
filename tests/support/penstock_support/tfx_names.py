"""A pipeline of all that TFX's public names offer for definitions, components and user code.

What `main` prints last is, as JSON, what has become of its nodes and what each of them has seen.
Annotations are evaluated, as TFX wants those of its components.
"""

import json
import os
from typing import Any, ClassVar

import apache_beam as beam
from google.protobuf import json_format, message
from tfx import v1 as tfx
from tfx.dsl.components.base import base_beam_executor, base_executor, executor_spec
from tfx.types import component_spec
from tfx.types.value_artifact import ValueArtifact
from tfx.v1.dsl import standard_annotations as annotations

MESSAGES = {
    name: kind
    for name, kind in vars(tfx.proto).items()
    if isinstance(kind, type) and issubclass(kind, message.Message)
}
STANDARD = tfx.types.standard_artifacts
TYPES = {name: getattr(STANDARD, name) for name in STANDARD.__all__}
VALUES = {
    "Boolean": True,
    "Bytes": b"abc",
    "Float": 0.5,
    "Integer": 3,
    "JsonValue": {"a": 1},
    "String": "abc",
}


class OwnDataset(tfx.dsl.Artifact):
    """A type of artifact of the user's."""

    TYPE_NAME = "OwnDataset"
    TYPE_ANNOTATION = annotations.Dataset


class OwnMetrics(tfx.dsl.Artifact):
    """One of numbers."""

    TYPE_NAME = "OwnMetrics"
    TYPE_ANNOTATION = annotations.Metrics


class OwnModel(tfx.dsl.Artifact):
    """One that predicts."""

    TYPE_NAME = "OwnModel"
    TYPE_ANNOTATION = annotations.Model


class OwnStatistics(tfx.dsl.Artifact):
    """One that describes."""

    TYPE_NAME = "OwnStatistics"
    TYPE_ANNOTATION = annotations.Statistics


OWN = {kind.TYPE_NAME: kind for kind in (OwnDataset, OwnMetrics, OwnModel, OwnStatistics)}


def filled(kind: type[message.Message]) -> message.Message:
    """Return a message whose first text or number is set, where it has one."""
    made = kind()
    for field in kind.DESCRIPTOR.fields:
        if field.label == field.LABEL_REPEATED or field.cpp_type == field.CPPTYPE_MESSAGE:
            continue
        setattr(made, field.name, "abc" if field.cpp_type == field.CPPTYPE_STRING else 1)
        break
    if isinstance(made, tfx.proto.PushDestination):
        made.filesystem.versioning = tfx.proto.Versioning.UNIX_TIMESTAMP
    return made


class EverySpec(component_spec.ComponentSpec):
    """Every message as a parameter, every standard type as an output."""

    INPUTS: ClassVar = {}
    PARAMETERS: ClassVar = {
        f"a_{name}": component_spec.ExecutionParameter(type=kind) for name, kind in MESSAGES.items()
    }
    OUTPUTS: ClassVar = {
        f"the_{name}": component_spec.ChannelParameter(type=kind)
        for name, kind in {**TYPES, **OWN}.items()
    }


class EveryExecutor(base_executor.BaseExecutor):
    """Tells which messages came as they were given, and writes every output."""

    def Do(
        self,
        input_dict: dict[str, Any],
        output_dict: dict[str, Any],
        exec_properties: dict[str, Any],
    ) -> None:
        """Do it."""
        arrived = [
            name
            for name, kind in MESSAGES.items()
            if json_format.Parse(exec_properties[f"a_{name}"], kind()) == filled(kind)
        ]
        for key, [artifact] in output_dict.items():
            if isinstance(artifact, ValueArtifact):
                artifact.value = VALUES[key.removeprefix("the_")]
            else:
                tfx.dsl.io.fileio.makedirs(artifact.uri)
        [examples] = output_dict["the_Examples"]
        examples.set_int_custom_property("span", 0)
        [model] = output_dict["the_OwnModel"]
        model.set_string_custom_property("arrived", json.dumps(arrived))


class Every(tfx.types.BaseComponent):
    """A component that is a class."""

    SPEC_CLASS = EverySpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(EveryExecutor)

    def __init__(self) -> None:
        values = {f"a_{name}": filled(kind) for name, kind in MESSAGES.items()}
        outputs = {f"the_{n}": tfx.dsl.Channel(type=k) for n, k in {**TYPES, **OWN}.items()}
        super().__init__(EverySpec(**values, **outputs))


class WordSpec(component_spec.ComponentSpec):
    """A word."""

    INPUTS: ClassVar = {}
    OUTPUTS: ClassVar = {}
    PARAMETERS: ClassVar = {"word": component_spec.ExecutionParameter(type=str)}


class BeamExecutor(base_beam_executor.BaseBeamExecutor):
    """Counts on Beam."""

    def Do(self, *_: Any) -> None:
        """Do it."""
        with self._make_beam_pipeline() as counting:
            _ = counting | beam.Create([1, 2]) | beam.combiners.Count.Globally()


class OnBeam(tfx.types.BaseBeamComponent):
    """A component that is a class and works on Beam."""

    SPEC_CLASS = WordSpec
    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(BeamExecutor)

    def __init__(self) -> None:
        super().__init__(WordSpec(word="beam"))


@tfx.dsl.components.component(component_annotation=annotations.Deploy)
def Deploying() -> None:
    """One of this kind."""


@tfx.dsl.components.component(component_annotation=annotations.Evaluate)
def Evaluating() -> None:
    """One of this kind."""


@tfx.dsl.components.component(component_annotation=annotations.Process)
def Processing() -> None:
    """One of this kind."""


@tfx.dsl.components.component(component_annotation=annotations.Train)
def Training() -> None:
    """One of this kind."""


@tfx.dsl.components.component(component_annotation=annotations.Transform)
def Told(
    data: tfx.dsl.components.InputArtifact[OwnDataset],
    made: tfx.dsl.components.OutputArtifact[OwnDataset],
    rows: tfx.dsl.components.Parameter[int] = 1,
) -> tfx.dsl.components.OutputDict(count=int, uri=str):
    """A component that is a function."""
    made.set_string_custom_property("of", data.uri)
    return {"count": rows, "uri": data.uri}


@tfx.dsl.components.component
def Spanned(
    examples: tfx.dsl.components.OutputArtifact[STANDARD.Examples],
    span: tfx.dsl.components.Parameter[int],
) -> None:
    """One that makes examples of a span."""
    examples.split_names = json.dumps(["train", "eval"])
    examples.set_int_custom_property("span", span)


@tfx.dsl.components.component(use_beam=True)
def FunctionOnBeam(
    data: tfx.dsl.components.InputArtifact[OwnDataset],
    made: tfx.dsl.components.OutputArtifact[OwnModel],
    rows: tfx.dsl.components.Parameter[int],
    on: tfx.dsl.components.BeamComponentParameter[beam.Pipeline] = None,
) -> None:
    """One that is given a Beam pipeline, and tells with which labels."""
    from apache_beam.options.pipeline_options import GoogleCloudOptions

    labels = on._options.view_as(GoogleCloudOptions).labels
    made.set_string_custom_property("labels", json.dumps(labels))
    made.set_string_custom_property("uris", json.dumps([data.uri, made.uri]))


@tfx.dsl.components.component
def Never(count: tfx.dsl.components.Parameter[int]) -> None:
    """One whose condition does not hold."""
    raise AssertionError(count)


@tfx.dsl.components.component
def Files(folder: tfx.dsl.components.Parameter[str]) -> tfx.dsl.components.OutputDict(seen=str):
    """All that can be done with files."""
    files = tfx.dsl.io.fileio
    top: files.PathType = os.path.join(folder, "files")  # type: ignore[valid-type]
    files.mkdir(top)
    files.makedirs(f"{top}/a/b")
    with files.open(f"{top}/a/b/one", "w") as file:
        file.write("abc")
    files.copy(f"{top}/a/b/one", f"{top}/two")
    files.rename(f"{top}/two", f"{top}/three")
    seen = [
        files.exists(f"{top}/two"),
        files.isdir(f"{top}/a"),
        sorted(files.listdir(top)),
        [os.path.relpath(path, top) for path in files.glob(f"{top}/a/*/o*")],
        len(list(files.walk(top))),
        int(getattr(files.stat(f"{top}/three"), "length", 3)),
    ]
    files.remove(f"{top}/three")
    files.rmtree(f"{top}/a")
    try:
        files.remove(f"{top}/three")
    except files.NotFoundError:
        seen.append(files.listdir(top))
    return {"seen": json.dumps(seen)}


class Last(tfx.dsl.experimental.ResolverStrategy):
    """A strategy of the user's: of each, the one with the highest id."""

    def resolve_artifacts(self, store: Any, input_dict: dict[str, Any]) -> dict[str, Any]:
        """Return it."""
        return {key: [max(found, key=lambda a: a.id)] for key, found in input_dict.items()}


def run_fn(fn_args: tfx.components.FnArgs) -> None:
    """Train nothing, and tell with what it could have been done."""
    told = [
        isinstance(fn_args, tfx.components.FnArgs),
        isinstance(fn_args.data_accessor, tfx.components.DataAccessor),
        fn_args.train_steps,
    ]
    tfx.dsl.io.fileio.makedirs(fn_args.serving_model_dir)
    with tfx.dsl.io.fileio.open(f"{fn_args.serving_model_dir}/told", "w") as file:
        file.write(json.dumps(told))


def tuner_fn(fn_args: tfx.components.FnArgs) -> tfx.components.TunerFnResult:
    """Search for the largest number."""
    import keras_tuner

    class Largest(keras_tuner.RandomSearch):
        def run_trial(self, trial: Any, *_: Any, **__: Any) -> float:
            return -float(trial.hyperparameters.Int("number", 1, 3))

    return tfx.components.TunerFnResult(
        tuner=Largest(max_trials=3, directory=fn_args.working_dir, overwrite=True), fit_kwargs={}
    )


def pipeline(folder: str) -> Any:
    """Everything in one pipeline."""
    placeholders = tfx.dsl.placeholders
    rows = tfx.dsl.experimental.RuntimeParameter(name="rows", ptype=int, default=3)
    os.makedirs(f"{folder}/data")
    config = tfx.utils.parse_pbtxt_file(_settings(folder), tfx.proto.TrainArgs())
    options: dict[str, tfx.utils.JsonableType] = {"layers": [1, 2]}
    every = Every()
    imported = tfx.dsl.Importer(
        source_uri=f"{folder}/data", artifact_type=OwnDataset, custom_properties={"owner": "me"}
    )
    first = Spanned(span=1).with_id("First")
    second = Spanned(span=2).with_id("Second")
    first.add_upstream_node(every)
    second.add_upstream_node(first)
    newest = tfx.dsl.Resolver(
        strategy_class=tfx.dsl.experimental.SpanRangeStrategy,
        config={
            "range_config": tfx.proto.RangeConfig(rolling_range=tfx.proto.RollingRange(num_spans=1))
        },
        examples=tfx.dsl.Channel(type=STANDARD.Examples),
    ).with_id("newest")
    latest = tfx.dsl.Resolver(
        strategy_class=tfx.dsl.experimental.LatestArtifactStrategy,
        examples=tfx.dsl.Channel(type=STANDARD.Examples),
    ).with_id("latest")
    last = tfx.dsl.Resolver(
        strategy_class=Last, examples=tfx.dsl.Channel(type=STANDARD.Examples)
    ).with_id("last")
    blessed = tfx.dsl.Resolver(
        strategy_class=tfx.dsl.experimental.LatestBlessedModelStrategy,
        model=tfx.dsl.Channel(type=STANDARD.Model),
        model_blessing=tfx.dsl.Channel(type=STANDARD.ModelBlessing),
    ).with_id("blessed")
    for resolver in (newest, latest, last, blessed):
        resolver.add_upstream_node(second)
    told = Told(data=imported.outputs["result"], rows=rows)
    on_beam = FunctionOnBeam(data=told.outputs["made"], rows=5).with_beam_pipeline_args(
        [
            "--labels=run=" + placeholders.execution_invocation().pipeline_run_id,
            "--labels=data=" + placeholders.input("data").uri,
            "--labels=made=" + placeholders.output("made").uri,
            "--labels=rows=" + placeholders.exec_property("rows"),
        ]
    )
    count = told.outputs["count"].future()[0].value
    with tfx.dsl.Cond(count > 2):
        holds = Told(data=told.outputs["made"], rows=count).with_id("Holds")
    with tfx.dsl.Cond(count > 3):
        never = Never(count=count)
    trainer = tfx.components.Trainer(
        run_fn=f"{__name__}.run_fn",
        examples=newest.outputs["examples"],
        train_args=config,
        eval_args=tfx.proto.EvalArgs(num_steps=1),
        custom_config=options,
    )
    tuner = tfx.components.Tuner(
        tuner_fn=f"{__name__}.tuner_fn",
        examples=newest.outputs["examples"],
        train_args=config,
        eval_args=tfx.proto.EvalArgs(num_steps=1),
    )
    return tfx.dsl.Pipeline(
        pipeline_name="names",
        pipeline_root=f"{folder}/root",
        metadata_connection_config=tfx.orchestration.metadata.sqlite_metadata_connection_config(
            f"{folder}/metadata.sqlite"
        ),
        execution_mode=tfx.dsl.ExecutionMode.SYNC,
        components=[
            *(every, imported, first, second, newest, latest, last, blessed),
            *(told, on_beam, holds, never, trainer, tuner, OnBeam(), Files(folder=folder)),
            *(Deploying(), Evaluating(), Processing(), Training()),
        ],
    )


def _settings(folder: str) -> str:
    path = f"{folder}/train.pbtxt"
    with open(path, "w", encoding="utf-8") as file:
        file.write("num_steps: 7")
    return path


def cloud(folder: str) -> Any:
    """A pipeline of components that work in Google's cloud."""
    vertex = tfx.extensions.google_cloud_ai_platform
    query = tfx.extensions.google_cloud_big_query
    examples = query.BigQueryExampleGen(query="SELECT 1 AS one")
    training = {
        "examples": examples.outputs["examples"],
        "train_args": tfx.proto.TrainArgs(num_steps=1),
        "eval_args": tfx.proto.EvalArgs(num_steps=1),
    }
    job = {"project": "mine"}
    tuner = vertex.Tuner(tuner_fn=f"{__name__}.tuner_fn", **training)
    trainer = vertex.Trainer(
        run_fn=f"{__name__}.run_fn", custom_config={vertex.TRAINING_ARGS_KEY: job}, **training
    )
    serving = {vertex.SERVING_ARGS_KEY: {"model_name": "taxi", "project_id": "mine"}}
    pushers = [
        vertex.Pusher(model=trainer.outputs["model"], custom_config=serving).with_id("Served"),
        query.Pusher(
            model=trainer.outputs["model"],
            custom_config={query.PUSHER_SERVING_ARGS_KEY: {"model_name": "taxi"}},
        ).with_id("Queried"),
    ]
    inferrer = vertex.BulkInferrer(
        examples=examples.outputs["examples"],
        model=trainer.outputs["model"],
        custom_config={vertex.experimental.BULK_INFERRER_SERVING_ARGS_KEY: {"model_name": "taxi"}},
    )
    return tfx.dsl.Pipeline(
        "cloud", f"{folder}/cloud", components=[examples, tuner, trainer, *pushers, inferrer]
    )


def asynchronous(made: tfx.dsl.components.AsyncOutputArtifact[OwnModel]) -> None:
    """Do what no component can."""


def _refusal() -> str:
    try:
        tfx.dsl.components.component(asynchronous)
    except ValueError as error:
        return str(error)
    return "it is taken"


def _bases() -> list[bool]:
    """Whether our components are of the kinds that TFX has names for."""
    from penstock.components import StatisticsGen

    made = StatisticsGen(examples=tfx.testing.Channel(STANDARD.Examples))
    factory: tfx.types.BaseFunctionalComponentFactory = Told
    function = factory(data=tfx.testing.Channel(OwnDataset))
    return [
        isinstance(made, tfx.types.BaseComponent),
        isinstance(made, tfx.types.BaseNode),
        isinstance(made.outputs["statistics"], tfx.types.BaseChannel),
        isinstance(function, tfx.types.BaseFunctionalComponent),
    ]


def _kinds(address: str) -> dict[str, str]:
    """Return which annotation the store has of each type, where it has one."""
    from penstock._tfx import metadata_store_pb2
    from penstock.metadata.store import connect, connection_config

    with connect(connection_config(address)) as metadata:
        artifacts = metadata.store.get_artifact_types()
        executions = metadata.store.get_execution_types()
    names = (
        (artifacts, metadata_store_pb2.ArtifactType.SystemDefinedBaseType),
        (executions, metadata_store_pb2.ExecutionType.SystemDefinedBaseType),
    )
    return {
        kind.name.rpartition(".")[2]: names_of.Name(kind.base_type)
        for kinds, names_of in names
        for kind in kinds
        if kind.base_type
    }


def main(folder: str) -> None:
    """Run it, and define what needs a cloud."""
    from penstock import LocalRunner, compile_pipeline
    from penstock.metadata.store import connection_config

    nodes = LocalRunner().run(pipeline(folder), raise_on_failure=False).nodes

    def artifact(node: str, key: str) -> Any:
        [found] = nodes[node].outputs[key]
        return found

    def told(node: str, key: str, name: str) -> Any:
        return json.loads(artifact(node, key).get_string_custom_property(name))

    every = nodes["Every"].outputs
    values = {name: every[f"the_{name}"][0].read() for name in VALUES}
    with open(f"{artifact('Trainer', 'model').uri}/Format-Serving/told", encoding="utf-8") as file:
        training = json.load(file)
    best = artifact("Tuner", "best_hyperparameters").uri
    with open(f"{best}/best_hyperparameters.txt", encoding="utf-8") as file:
        tuned = json.load(file)["values"]
    mysql = tfx.orchestration.metadata.mysql_metadata_connection_config(
        "db", 3306, "mlmd", "me", "secret"
    )
    seen = {
        "states": {name: [node.state.value, node.error] for name, node in nodes.items()},
        "messages": [sorted(MESSAGES), sorted(told("Every", "the_OwnModel", "arrived"))],
        "types": [sorted(TYPES), sorted(k[4:] for k in every if k[4:] not in OWN)],
        "values": values == VALUES,
        "kinds": _kinds(f"{folder}/metadata.sqlite"),
        "labels": told("FunctionOnBeam", "made", "labels")[:4],  # Beam adds some
        "uris": told("FunctionOnBeam", "made", "uris"),
        "spans": {
            name: [a.get_int_custom_property("span") for a in nodes[name].outputs["examples"]]
            for name in ("newest", "latest", "last")
        },
        "count": artifact("Holds", "count").read(),
        "files": json.loads(artifact("Files", "seen").read()),
        "training": training,
        "tuned": tuned,
        "mysql": mysql == connection_config("mysql://me:secret@db:3306/mlmd"),
        "asynchronous": _refusal(),
        "bases": _bases(),
        "cloud": [n.pipeline_node.node_info.id for n in compile_pipeline(cloud(folder)).nodes],
    }
    print(json.dumps(seen))
