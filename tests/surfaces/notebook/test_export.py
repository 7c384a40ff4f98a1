"""A session's nodes as Python: what is written compiles to the same nodes."""

from __future__ import annotations

import sys

import pytest
from tfx.dsl.components.common.importer import Importer
from tfx.dsl.components.common.resolver import Resolver
from tfx.dsl.experimental.conditionals.conditional import Cond
from tfx.dsl.input_resolution.strategies.latest_artifact_strategy import LatestArtifactStrategy
from tfx.types import Channel

from penstock import ForEach, Retries, ir, with_options
from penstock.artifacts import Model
from penstock.authoring.values import PipelineParameter
from penstock.clusters import SparkOptions
from penstock.components import (
    CsvExampleGen,
    Evaluator,
    ExampleValidator,
    ImportSchemaGen,
    LatestArtifact,
    LatestBlessedModel,
    Pusher,
    StatisticsGen,
    Trainer,
    Transform,
)
from penstock.components.pusher.component import Filesystem, PushDestination, VersionNames
from penstock.components.trainer.component import TrainArgs
from penstock.components.transform.component import SplitsConfig
from penstock.config import read_config
from penstock.data.csv import CsvOptions
from penstock.data.spans import RangeConfig, RollingRange
from penstock.data.splits import InputConfig, InputSplit, OutputConfig, SplitBuckets, SplitConfig
from penstock.errors import PenstockError, PipelineError
from penstock.pods import Gpu, PodOptions
from penstock.surfaces.notebook.definitions import define
from penstock.surfaces.notebook.export import pipeline_text
from penstock_support.example_components import Doubling, MakeExamples

NAME = "exported-nodes"
# Those of a profile.
BEAM_ARGS = ("--direct_running_mode=multi_processing",)


def parameters():
    values = {"steps": 300, "data": "data", "minimum": 0.9, "everything": True, "rate": 1.0}
    return {n: PipelineParameter(n, type(v), v) for n, v in values.items()}


def make_nodes(p):
    """Nodes of all kinds that can be written, in the order in which a notebook would run them."""
    examples = CsvExampleGen(
        input_base=p["data"],
        input_config=InputConfig((InputSplit("all", "span-{SPAN}/*.csv"),)),
        output_config=OutputConfig(
            SplitConfig((SplitBuckets("train", 3), SplitBuckets("eval", 1)))
        ),
        range_config=RangeConfig(rolling_range=RollingRange(num_spans=2)),
        csv=CsvOptions(delimiter=";", column_types={"zip": "bytes"}, null_values=('"', "NA")),
        sample_rate=p["rate"],
    ).with_options(
        retries=Retries(2, after=("error", "memory"), pause_seconds=1.5),
        timeout_seconds=60,
        pod=PodOptions(memory="8Gi", gpu=Gpu(count=2), env={"A": "1"}),
    )
    statistics = StatisticsGen(examples=examples.outputs["examples"], sample_rate=0.5)
    statistics.with_options(cache="1d12h", retries=2, accelerate=False)
    schema = ImportSchemaGen(schema_file="it's.pbtxt").with_options(cache=False)
    previous = LatestArtifact(statistics.outputs["statistics"], key="statistics").with_id(
        "previous"
    )
    validator = ExampleValidator(
        statistics=statistics.outputs["statistics"],
        schema=schema.outputs["schema"],
        previous_statistics=previous.outputs["statistics"],
        drift_thresholds={"*": 0.1},
        fail_on_anomalies=p["everything"],
    ).with_options(optional=True)
    more = CsvExampleGen(input_base="more").with_id("more-examples")
    more.with_options(cluster=SparkOptions("spark://host:7077", {"spark.cores.max": "4"}))
    transform = Transform(
        examples=[examples.outputs["examples"], more.outputs["examples"]],
        schema=schema.outputs["schema"],
        module_file="preprocessing.py",
        splits_config=SplitsConfig(analyze=["train"], transform=["train", "eval"]),
    )
    transform.with_beam_pipeline_args(["--direct_num_workers=2"])
    transform.add_upstream_node(validator)
    imported = with_options(
        Importer(source_uri="models/1", artifact_type=Model, reimport=True), start="completed"
    )
    trainer = Trainer(
        examples=transform.outputs["transformed_examples"],
        base_model=imported.outputs["result"],
        module_file="model.py",
        train_args=TrainArgs(num_steps=p["steps"]),
        custom_config={"layers": [16, 8], "rate": 0.1, "note": None, "deep": {"a": True}},
    )
    blessed = LatestBlessedModel().with_id("blessed")
    newest = LatestArtifact(Model).with_id("class")
    evaluator = Evaluator(
        examples=examples.outputs["examples"],
        model=trainer.outputs["model"],
        baseline_model=blessed.outputs["model"],
        eval_config={"metrics_specs": [{"thresholds": {"auc": {"lower": p["minimum"]}}}]},
    )
    pusher = Pusher(
        model=newest.outputs["model"],
        model_blessing=evaluator.outputs["blessing"],
        push_destination=PushDestination(Filesystem("serving")),
        version_names=VersionNames.SEQUENTIAL,
    )
    return [
        examples,
        statistics,
        schema,
        previous,
        validator,
        more,
        transform,
        imported,
        trainer,
        blessed,
        newest,
        evaluator,
        pusher,
    ]


def definitions_of(nodes):
    return {
        node.id: define(
            node,
            pipeline_name=NAME,
            pipeline_root="",
            beam_args=BEAM_ARGS,
            homes={},
            cell=number,
        )
        for number, node in enumerate(nodes, 1)
    }


@pytest.fixture(scope="module")
def definitions():
    return definitions_of(make_nodes(parameters()))


@pytest.fixture(scope="module")
def text(definitions):
    return pipeline_text(NAME, definitions, parameters(), BEAM_ARGS)


@pytest.fixture(scope="module")
def compiled(text, tmp_path_factory):
    file = tmp_path_factory.mktemp("exported") / "made_by_export.py"
    file.write_text(text)
    before = list(sys.path)
    definition = read_config(None).load_pipeline(f"{file}:exported_nodes")
    sys.path[:] = before
    return ir.compile_pipeline(definition, pipeline_root="", beam_args=BEAM_ARGS)


def _platform(definition):
    """What a node asks for beside TFX's own options, packed as the pipeline has it."""
    return ir.view(definition.pipeline).nodes[definition.node_id].platform


def test_all_nodes_are_there(compiled, definitions):
    assert set(ir.view(compiled).nodes) == set(definitions)


def test_every_node_has_its_type_executor_parameters_outputs_and_options(compiled, definitions):
    for node in (entry.pipeline_node for entry in compiled.nodes):
        name = node.node_info.id
        of_session = definitions[name]
        own = of_session.node
        assert node.node_info == own.node_info
        assert node.parameters == own.parameters
        assert node.outputs == own.outputs
        assert node.execution_options == own.execution_options
        assert ir.view(compiled).nodes[name].platform == _platform(of_session)
        assert (
            ir.view(compiled).nodes[name].executor
            == ir.view(of_session.pipeline).nodes[name].executor
        )


def test_every_node_takes_what_it_took(compiled, definitions):
    for node in (entry.pipeline_node for entry in compiled.nodes):
        one = type(compiled)()
        one.nodes.add().pipeline_node.CopyFrom(node)
        own = definitions[node.node_info.id]
        assert type(own)(one).sources() == own.sources()


def test_what_waits_still_waits(compiled):
    upstream = {node.id: set(node.upstream) for node in ir.view(compiled)}
    assert "ExampleValidator" in upstream["Transform"]
    assert "previous" in upstream["StatisticsGen"]


def test_parameters_become_arguments_with_their_defaults(text):
    assert "steps: int = 300" in text
    assert "everything: bool = True" in text


def test_values_are_written_as_a_person_would(text):
    assert "train_args=TrainArgs(num_steps=steps)," in text
    assert "version_names=VersionNames.SEQUENTIAL," in text
    assert "eval_args" not in text, "defaults are left out"
    assert max(map(len, text.splitlines())) <= 100


def test_names_that_are_taken_get_others(text):
    assert "class_ = LatestArtifact(" in text


def test_what_cannot_be_written_is_named_by_cell_and_reason():
    resolver = Resolver(strategy_class=LatestArtifactStrategy, model=Channel(type=Model))
    with pytest.raises(PenstockError) as error:
        pipeline_text(NAME, definitions_of([MakeExamples(), resolver]), {})
    assert "cell [2]: Resolver: the resolver LatestArtifactStrategy cannot be written" in str(
        error.value
    )


def test_a_node_under_a_condition_is_refused():
    made = MakeExamples()
    with Cond(made.outputs["output"].future()[0].value > 3):
        doubling = Doubling()
    with pytest.raises(PipelineError, match="Doubling runs under a condition"):
        definitions_of([doubling])


def test_a_node_of_a_loop_is_refused_before_it_runs():
    with ForEach([1, 2]) as count:
        node = MakeExamples(rows=count)
    with pytest.raises(PipelineError, match="MakeExamples runs in a loop, and in a session"):
        definitions_of([node])


def test_a_node_that_runs_again_has_the_arguments_of_its_profile_once():
    node = CsvExampleGen(input_base="data")
    definitions_of([node])
    [definition] = definitions_of([node]).values()
    args = ir.view(definition.pipeline).nodes[node.id].executor.beam_pipeline_args_placeholders
    assert [arg.value.string_value for arg in args] == list(BEAM_ARGS)
