"""What runs, is shown and is served where nothing but the core is installed.

`make test-core` runs it, and all tests that are marked as core, in such an environment; there no
package of an extra can be imported. Elsewhere these tests hide what they must not find.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from penstock import LocalRunner, compile_pipeline, pipeline
from penstock.artifacts import Model
from penstock.authoring.component import NodeOutline
from penstock.components import (
    BulkInferrer,
    CsvExampleGen,
    Evaluator,
    ExampleValidator,
    ImportExampleGen,
    ImportSchemaGen,
    InfraValidator,
    LatestArtifact,
    MergeTables,
    ParquetExampleGen,
    Pusher,
    SchemaGen,
    ServingLogGen,
    StatisticsGen,
    Trainer,
    Transform,
)
from penstock.components.merge_tables.component import Join, SourceTable
from penstock.components.pusher.component import Filesystem, PushDestination
from penstock.data.splits import InputConfig, InputSplit
from penstock.errors import MissingExtra
from penstock.execution import needs
from penstock.project import extras
from penstock.runners.local.display import Silent
from penstock_support.core_components import Boosted, ImportsLater, Learn, Next, Reads
from penstock_support.metadata_servers import Command

pytestmark = pytest.mark.core
ROOT = Path(__file__).parents[2]

OF_TFX = NodeOutline({"run_fn": "module.run_fn"}, {"model": ("tensorflow_transform",)})
OF_ANOTHER = NodeOutline({"train_fn": "train_fn"}, {"model": ("sklearn", "skops.io")})

# In the order of docs/installing.md: what the table calls it, what it is, and what it needs.
NEEDS = [
    ("`CsvExampleGen`", CsvExampleGen, OF_TFX, "the core"),
    ("`ParquetExampleGen`", ParquetExampleGen, OF_TFX, "the core"),
    ("`ImportExampleGen`", ImportExampleGen, OF_TFX, "the core"),
    ("`ServingLogGen`", ServingLogGen, OF_TFX, "the core"),
    ("`MergeTables`", MergeTables, OF_TFX, "the core"),
    ("`ImportSchemaGen`", ImportSchemaGen, OF_TFX, "the core"),
    ("`Trainer` with a `train_fn`", Trainer, OF_ANOTHER, "the core"),
    ("`Evaluator` of such a model", Evaluator, OF_ANOTHER, "`sklearn`"),
    ("`InfraValidator` of such a model", InfraValidator, OF_ANOTHER, "`sklearn`"),
    ("`BulkInferrer` of such a model", BulkInferrer, OF_ANOTHER, "`sklearn`"),
    ("`Pusher`", Pusher, OF_TFX, "the core"),
    ("`StatisticsGen`", StatisticsGen, OF_TFX, "`tfx`"),
    ("`SchemaGen`", SchemaGen, OF_TFX, "`tfx`"),
    ("`ExampleValidator`", ExampleValidator, OF_TFX, "`tfx`"),
    ("`Transform`", Transform, OF_TFX, "`tfx`"),
    ("`Trainer` with a `run_fn`", Trainer, OF_TFX, "`tfx`"),
    ("`Evaluator` of such a model", Evaluator, OF_TFX, "`tfx`"),
]


def extras_of(component: Any, node: NodeOutline) -> str:
    preload = component.EXECUTOR_SPEC.executor_class.preload
    packages = map(extras.package_of, preload(node) if callable(preload) else preload)
    names = sorted({extras.extra_of(package) for package in packages if package})
    return ", ".join(f"`{name}`" for name in names) or "the core"


@pytest.mark.parametrize(("called", "component", "node", "needed"), NEEDS)
def test_a_component_needs_the_extra_that_the_table_says(called, component, node, needed):
    assert extras_of(component, node) == needed
    said = "the core, and its framework" if node is OF_ANOTHER else needed
    lines = (ROOT / "docs" / "installing.md").read_text().splitlines()
    assert f"| {called} | {said} |" in lines


def test_every_extra_is_told_of_in_the_documentation():
    page = (ROOT / "docs" / "installing.md").read_text()
    assert [name for name in extras.EXTRAS if f"| `{name}` |" not in page] == []


def test_twenty_components_run(run_pipeline):
    @pipeline
    def counting() -> Any:
        nodes = [Next(value=0).with_id("step_0")]
        for number in range(1, 20):
            node = Next(value=nodes[-1].outputs["output"]).with_id(f"step_{number}")
            nodes.append(node)
        return nodes

    result = run_pipeline(counting)
    assert result.succeeded
    assert len(result.nodes) == 20
    again = run_pipeline(counting)
    assert {node.state.value for node in again.nodes.values()} == {"cached"}


SCHEMA = 'feature { name: "port" type: BYTES } feature { name: "depth" type: INT }'


def to_a_pushed_model(folder: Path) -> Any:
    """A pipeline of components of the library that the core has, and one of the user's."""
    data = folder / "data"
    data.mkdir(exist_ok=True)
    rows = [f"{name},{name * 3}" for name in range(30)]
    (data / "trips.csv").write_text("\n".join(["port,minutes", *rows, ""]))
    (data / "ports.csv").write_text("port,depth\n" + "".join(f"{n},{n + 1}\n" for n in range(20)))
    (folder / "csv").mkdir(exist_ok=True)
    (folder / "csv" / "data.csv").write_text("port,depth\nA,1\nB,2\n")
    (folder / "schema.pbtxt").write_text(SCHEMA)

    @pipeline
    def core() -> Any:
        merged = MergeTables(
            input_base=str(data),
            base=SourceTable("trips"),
            joins=(Join(SourceTable("ports"), on=("port",)),),
            columns=("port", "minutes", "depth"),
        )
        csv = CsvExampleGen(input_base=str(folder / "csv"))
        parquet = ParquetExampleGen(
            input_base=merged.outputs["tables"].future()[0].uri,
            input_config=InputConfig((InputSplit("single_split", "*.parquet"),)),
        )
        schema = ImportSchemaGen(schema_file=str(folder / "schema.pbtxt"))
        learn = Learn(examples=parquet.outputs["examples"])
        push = Pusher(
            model=learn.outputs["model"],
            push_destination=PushDestination(Filesystem(str(folder / "serving"))),
        )
        latest = LatestArtifact(Model).with_id("latest_model")
        return [merged, csv, parquet, schema, learn, push, latest]

    return core


def test_tables_become_a_pushed_model_and_a_report(run_pipeline, tmp_path):
    result = run_pipeline(to_a_pushed_model(tmp_path))
    assert {node.node_id: node.error for node in result.nodes.values() if node.error} == {}
    assert result.succeeded
    (version,) = (tmp_path / "serving").glob("[!.]*")
    assert int((version / "rows.txt").read_text()) in range(10, 30)
    assert result.report_error == ""
    assert "Pusher" in Path(result.report).read_text()


def penstock(folder: Path, *arguments: str) -> str:
    """Run the command in a project, and return what it prints; it must end well."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "penstock", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        env={**os.environ, "NO_COLOR": "1"},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_commands_show_what_a_project_s_runs_have_made(tmp_path):
    penstock(tmp_path, "init", "trial", "--template", "functions")
    project = tmp_path / "trial"
    assert "to run" in penstock(project, "plan", "trial")
    penstock(project, "run", "trial")
    penstock(project, "run", "trial", "--no-cache")
    listed = json.loads(penstock(project, "runs", "--json"))
    names = [run["run_id"] for run in listed]
    assert len(names) == 2
    assert names[0] in penstock(project, "show", names[0])
    penstock(project, "compare", *names)
    penstock(project, "gc")
    nodes = json.loads(penstock(project, "show", names[0], "--json"))["nodes"]
    made = next(uri for node in nodes for uri in (node.get("outputs") or {}).values())
    penstock(project, "lineage", made if isinstance(made, str) else made[0])
    penstock(project, "report", names[0])
    findings = {found["name"]: found for found in json.loads(penstock(project, "doctor", "--json"))}
    assert findings["packages"]["state"] == "fine"


def test_the_example_pipelines_compile_for_kubeflow(tmp_path):
    (tmp_path / "penstock.toml").write_text(
        '[pipelines]\nflights = "penstock.pipelines.flights.pipeline:flights"\n'
        'penguins = "penstock.pipelines.penguins.pipeline:penguins"\n'
        '[profiles.default]\nmetadata = "mysql://u@db/m"\npipeline_root = "gs://bucket/root"\n'
        '[profiles.default.kubeflow]\nimage = "registry.example/me@sha256:' + "0" * 64 + '"\n'
    )
    for name in ("flights", "penguins"):
        penstock(tmp_path, "compile", name, "--output", f"{name}.yaml")
        assert "exec-transform" in (tmp_path / f"{name}.yaml").read_text()


def test_the_metadata_server_starts(tmp_path):
    with Command("--store", f"sqlite:///{tmp_path}/metadata.sqlite", "--port", "0") as server:
        assert server.port


@pytest.fixture
def only_the_core(monkeypatch):
    """Have no package of an extra be found, wherever it is installed."""
    for packages in extras.EXTRAS.values():
        for package in packages:
            if "." not in package and package not in sys.modules:
                monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.setattr(extras, "is_installed", lambda _: False)


@pipeline
def with_transform() -> Any:
    gen = CsvExampleGen(input_base="nowhere")
    schema = ImportSchemaGen(schema_file="nowhere.pbtxt")
    transform = Transform(
        examples=gen.outputs["examples"], schema=schema.outputs["schema"], module_file="nowhere.py"
    )
    boosted = Boosted(value=1)
    return [gen, schema, transform, boosted]


REFUSED = (
    "2 nodes need packages that are not installed: Boosted xgboost; Transform "
    "tensorflow_transform and tensorflow_data_validation. "
    "Install them: pip install 'penstock[tfx,xgboost]'."
)


def test_a_pipeline_with_transform_is_refused_by_name_before_anything_runs(
    run_pipeline, tmp_path, only_the_core
):
    with pytest.raises(MissingExtra) as refused:
        run_pipeline(with_transform)
    assert str(refused.value) == REFUSED
    assert refused.value.nodes == ("Boosted", "Transform")
    assert not (tmp_path / "metadata.sqlite").exists()


def test_a_plan_is_refused_as_the_run_would_be(tmp_path, only_the_core):
    runner = LocalRunner(
        pipeline_root=str(tmp_path / "root"), metadata=str(tmp_path / "metadata.sqlite")
    )
    with pytest.raises(MissingExtra, match="Transform tensorflow_transform"):
        runner.plan(with_transform)


def test_nodes_that_are_not_asked_for_need_nothing(tmp_path, only_the_core):
    runner = LocalRunner(
        pipeline_root=str(tmp_path / "root"),
        metadata=str(tmp_path / "metadata.sqlite"),
        display=Silent(),
    )

    @pipeline
    def partly() -> Any:
        return [Next(value=1), Boosted(value=1)]

    assert runner.run(partly, only=["Next"]).succeeded


@pytest.mark.parametrize("is_done", [True, False])
def test_a_resumed_run_asks_for_what_is_still_to_run(tmp_path, monkeypatch, is_done):
    runner = LocalRunner(
        pipeline_root=str(tmp_path / "root"),
        metadata=str(tmp_path / "metadata.sqlite"),
        display=Silent(),
    )
    number = tmp_path / "number"

    @pipeline
    def resumed() -> Any:
        boosted, reads = Boosted(value=1), Reads(path=str(number), value=1)
        (reads if is_done else boosted).add_upstream_node(boosted if is_done else reads)
        return [boosted, reads]

    monkeypatch.setattr(extras, "is_installed", lambda _: True)
    assert not runner.run(resumed, raise_on_failure=False).succeeded
    number.write_text("1")
    monkeypatch.setattr(extras, "is_installed", lambda _: False)
    if is_done:
        assert runner.resume(resumed).succeeded
        return
    with pytest.raises(MissingExtra, match="node Boosted needs xgboost, which is not installed"):
        runner.resume(resumed)
    monkeypatch.setattr(extras, "is_installed", lambda _: True)
    assert runner.resume(resumed).succeeded


def test_code_of_the_user_s_that_imports_a_missing_package_is_refused(tmp_path, only_the_core):
    code = tmp_path / "code.py"
    code.write_text("import lightgbm\n\ndef preprocessing_fn(inputs): ...\n")

    @pipeline
    def transforming() -> Any:
        gen = CsvExampleGen(input_base="nowhere")
        schema = ImportSchemaGen(schema_file="nowhere.pbtxt")
        return [
            gen,
            schema,
            Transform(
                examples=gen.outputs["examples"],
                schema=schema.outputs["schema"],
                module_file=str(code),
            ),
        ]

    viewed = view(transforming, tmp_path)
    assert needs.missing_packages(viewed) == {
        "Transform": ["tensorflow_transform", "tensorflow_data_validation", "lightgbm"]
    }


def test_a_node_with_a_beam_runner_needs_beam(tmp_path, only_the_core):
    @pipeline
    def on_beam() -> Any:
        node = CsvExampleGen(input_base="nowhere")
        return [node.with_beam_pipeline_args(["--runner=FlinkRunner"])]

    assert needs.missing_packages(view(on_beam, tmp_path)) == {"CsvExampleGen": ["apache_beam"]}


def view(definition: Any, folder: Path) -> Any:
    from penstock import ir

    compiled = compile_pipeline(definition, pipeline_root=str(folder / "root"))
    return ir.view(ir.bind(compiled, run_id="r", parameters={}))


def test_components_of_tfx_need_tfx(tmp_path, only_the_core):
    from google.protobuf import json_format

    from penstock import _tfx

    text = (ROOT / "tests" / "golden" / "taxi.ir.json").read_text()
    taxi = json_format.Parse(text, _tfx.pipeline_pb2.Pipeline())
    with pytest.raises(MissingExtra) as refused:
        LocalRunner(pipeline_root=str(tmp_path), metadata=str(tmp_path / "m")).run(taxi)
    assert refused.value.extras == ("tfx",)
    assert "Trainer tensorflow and tfx.components" in str(refused.value)


def test_an_import_that_fails_in_a_node_names_the_extra(run_pipeline):
    if importlib.util.find_spec("xgboost"):
        pytest.skip("xgboost is installed")

    @pipeline
    def later() -> Any:
        return [ImportsLater(value=1)]

    error = run_pipeline(later).nodes["ImportsLater"].error
    assert "core_components.py" in error
    assert error.endswith("Install it: pip install 'penstock[xgboost]'.")
