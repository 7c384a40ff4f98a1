"""What a pipeline becomes: golden files, and what Kubeflow's own readers say of them.

Renew the golden files with

    python tests/runners/kubeflow/compile/test_compile.py

and read the difference. `taxi.ir.json`, the IR of a pipeline of TFX's own components, is renewed
with

    python tests/support/penstock_support/tfx_pipelines.py ir all_of_tfx /tmp \\
        > tests/golden/taxi.ir.json
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[4]
GOLDEN = ROOT / "tests" / "golden"
if __name__ == "__main__":
    sys.path.insert(0, str(ROOT / "tests" / "support"))

from penstock import compile_pipeline, pipeline  # noqa: E402
from penstock.pods import Gpu, PodOptions  # noqa: E402
from penstock.runners.kubeflow.compile.compiling import (  # noqa: E402
    Compiled,
    compile_for_kubeflow,
)
from penstock.runners.kubeflow.compile.yaml_text import yaml_of  # noqa: E402
from penstock.runners.kubeflow.contract import documents  # noqa: E402
from penstock.runners.kubeflow.contract.texts import OWN  # noqa: E402
from penstock_support import IMPORT_PATH  # noqa: E402
from penstock_support.kubeflow_pipelines import IMAGE, Learn, Prepare, cluster, single  # noqa: E402  # found above

NAMES = ("penguins", "flights", "flights_shared", "taxi", "rates")
# Of pipelines whose nodes share pods.
_SHARED = "_shared"


def compile_golden(name: str, folder: Path) -> Compiled:
    """Compile a pipeline of the project that lies in a folder."""
    trainer = PodOptions(memory="16Gi", cpu="8", gpu=Gpu())
    profile = cluster(
        memory="4Gi", cpu="1", nodes={"Trainer": trainer}, share_pods=name.endswith(_SHARED)
    )
    project = Path(IMPORT_PATH) if name == "rates" else folder
    made = pipeline_of(name.removesuffix(_SHARED), folder)
    return compile_for_kubeflow(made, profile, project)


def pipeline_of(name: str, folder: Path) -> Any:
    if name == "rates":
        from penstock_support.loop_components import of_rates

        return of_rates
    if name == "flights":
        from penstock.pipelines.flights.pipeline import flights

        return flights
    if name == "penguins":
        from penstock.pipelines.penguins.pipeline import penguins

        return penguins
    from google.protobuf import json_format

    from penstock import _tfx

    code = folder / "taxi"
    code.mkdir(exist_ok=True)
    for module in ("model", "preprocessing"):
        (code / f"{module}.py").touch()
    text = (GOLDEN / "taxi.ir.json").read_text().replace("/home/me", str(folder))
    return json_format.Parse(text, _tfx.pipeline_pb2.Pipeline())


def stable(text: str) -> str:
    """Write tasks so that they can be read, without what changes whenever a component does."""
    documents = list(yaml.safe_load_all(text))
    for executor in documents[0]["deploymentSpec"]["executors"].values():
        arguments = executor["container"]["args"]
        for place, argument in enumerate(arguments):
            if argument == "--task":
                arguments[place + 1] = legible(arguments[place + 1])
    for component in (documents[0]["root"], *documents[0]["components"].values()):
        for task in component.get("dag", {}).get("tasks", {}).values():
            own = task.get("inputs", {}).get("parameters", {}).get(OWN)
            if own is not None:
                own["runtimeValue"]["constant"] = legible(own["runtimeValue"]["constant"])
    return "---\n".join(yaml_of(document) for document in documents)


def legible(told: str) -> str:
    swapped = str.maketrans({'"': "'", "'": '"'})
    text = json.dumps(json.loads(told.translate(swapped)), indent=1, sort_keys=True)
    return re.sub("'code': '[0-9a-f]{32}'", "'code': '...'", text.translate(swapped))


@pytest.fixture(scope="module", params=NAMES)
def golden(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, Compiled]:
    return request.param, compile_golden(request.param, tmp_path_factory.mktemp(request.param))


def test_a_pipeline_compiles_to_its_golden_file(golden):
    name, compiled = golden
    assert stable(compiled.to_yaml()) == (GOLDEN / f"{name}.yaml").read_text()


def test_kubeflow_s_own_loader_takes_it(golden):
    from kfp import components

    name, compiled = golden
    loaded = components.load_component_from_text(compiled.to_yaml())
    assert loaded.pipeline_spec.pipeline_info.name == name.removesuffix(_SHARED)
    assert loaded.platform_spec == compiled.platform


def test_a_strict_parse_gives_the_same_documents(golden):
    from google.protobuf import json_format

    _, compiled = golden
    for message, document in zip(
        (compiled.spec, compiled.platform), yaml.safe_load_all(compiled.to_yaml()), strict=True
    ):
        assert json_format.ParseDict(document, type(message)()) == message


def test_the_executors_of_both_documents_parse_strictly(golden):
    from google.protobuf import json_format

    from penstock.runners.kubeflow.compile import protos

    _, compiled = golden
    spec, platform = yaml.safe_load_all(compiled.to_yaml())
    deployment = protos.pipeline_spec().PipelineDeploymentConfig()
    json_format.ParseDict(spec["deploymentSpec"], deployment)
    pods = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    for pod in pods.values():
        json_format.ParseDict(pod, protos.kubernetes().KubernetesExecutorConfig())
    assert set(pods) == set(deployment.executors)


def test_a_document_is_the_same_when_it_is_compiled_again_in_another_folder(golden, tmp_path):
    name, compiled = golden
    again = compile_golden(name, tmp_path)
    assert again.to_yaml() == compiled.to_yaml()
    assert again.fingerprint == compiled.fingerprint


def test_compiling_loads_neither_tensorflow_nor_the_sdk_of_kubeflow(tmp_path):
    (tmp_path / "penstock.toml").write_text(
        "[profiles.cluster]\n"
        'metadata = "mysql://me:${env:STORE_PASSWORD}@mysql/mlmd"\n'
        "[profiles.cluster.kubeflow]\n"
        f'image = "{IMAGE}"\n'
    )
    code = (
        "import sys\n"
        "from penstock.surfaces.cli.main import penstock\n"
        "arguments = ['compile', 'flights', '--profile', 'cluster', '-o', 'flights.yaml']\n"
        "penstock(arguments, standalone_mode=False)\n"
        "heavy = {'tensorflow', 'apache_beam', 'kfp', 'tensorflow_data_validation'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "[]\n", done.stderr
    assert "wrote flights.yaml (12 tasks)" in done.stderr
    assert "needs the environment variable STORE_PASSWORD" in done.stderr
    assert len(list(yaml.safe_load_all((tmp_path / "flights.yaml").read_text()))) == 2


def test_a_secret_appears_nowhere(monkeypatch, compiled):
    monkeypatch.setenv("STORE_PASSWORD", "planted-s3cret")
    monkeypatch.setenv("LABEL", "planted-label")
    made = compiled(single(lambda: Prepare(label="${env:LABEL}")))
    assert "planted" not in made.text
    assert "${env:STORE_PASSWORD}" in made.text
    assert "${env:LABEL}" in made.text


def test_a_password_in_the_connection_of_a_tfx_pipeline_appears_nowhere(compiled):
    from penstock import _tfx, ir

    toy = compile_pipeline(single(Prepare), pipeline_root="/root")
    config = ir.deployment(toy)
    connection = _tfx.metadata_store_pb2.ConnectionConfig()
    connection.mysql.password = "planted-s3cret"
    config.metadata_connection_config.Pack(connection)
    toy.deployment_config.Pack(config)
    assert "planted" not in compiled(toy).text


def test_a_variable_that_no_pod_is_given_is_told(compiled):
    made = compiled(single(lambda: Prepare(label="${env:LABEL}")))
    assert made.warnings == (
        "node Prepare needs the environment variable LABEL, which its pod is not given. Add to "
        'the profile: secrets = [{ secret = "…", key = "…", env = "LABEL" }]',
    )


def test_an_image_by_digest_is_used_as_it_is(compiled):
    made = compiled(single(Prepare))
    assert made.containers["prepare"]["image"] == IMAGE
    assert made.warnings == ()


def test_an_image_by_tag_is_told(compiled):
    made = compiled(single(Prepare), image="registry.example/taxi:latest")
    [warning] = made.warnings
    assert "registry.example/taxi:latest is named by a tag" in warning


def test_options_for_a_node_that_is_not_there_are_told_with_the_nearest(compiled):
    made = compiled(single(Prepare), nodes={"Prepair": PodOptions(cpu="1")})
    [warning] = made.warnings
    assert (
        "options for 'Prepair', and the pipeline no such node. Did you mean 'Prepare'?" in warning
    )


def test_a_node_becomes_a_task_of_our_entrypoint(compiled, pod_task):
    @pipeline(name="toy")
    def toy():
        examples = Prepare(label="species")
        return Learn(examples=examples.outputs["examples"])

    made = compiled(toy)
    container = made.containers["learn"]
    assert container["command"] == ["python", "-m", "penstock.runners.kubeflow.entrypoint"]
    assert container["args"][2:] == ["--executor-input", "{{$}}"]
    task = pod_task(made, "learn")
    assert (task.node, task.action, task.project_folder) == ("Learn", "run", "/app")
    [taken] = task.inputs
    assert (taken.key, taken.type, taken.producer, taken.output) == (
        "examples",
        "Examples",
        "Prepare",
        "examples",
    )
    assert [(made.key, made.type) for made in task.outputs] == [("model", "Model")]
    assert made.tasks["learn"]["inputs"]["artifacts"]["examples"] == {
        "taskOutputArtifact": {"outputArtifactKey": "examples", "producerTask": "prepare"}
    }
    assert made.tasks["learn"]["dependentTasks"] == ["prepare"]


def test_tasks_are_called_as_the_drivers_of_2_5_look_them_up_and_told_by_their_nodes(compiled):
    @pipeline(name="toy")
    def toy():
        return Learn(examples=Prepare(label="a" * 500).outputs["examples"])

    made = compiled(toy)
    assert {key: task["taskInfo"]["name"] for key, task in made.tasks.items()} == {
        "prepare": "prepare",
        "learn": "learn",
    }
    titles = [(task.key, task.title) for task in documents.tasks(made.spec)]
    assert titles == [("prepare", "Prepare"), ("learn", "Learn")]


def test_a_change_after_a_node_does_not_change_what_its_container_is_told(compiled):
    @pipeline(name="toy")
    def longer():
        return Learn(examples=Prepare().outputs["examples"])

    shorter, longer_one = compiled(single(Prepare)), compiled(longer)
    assert longer_one.containers["prepare"]["args"] == shorter.containers["prepare"]["args"]
    assert longer_one.tasks["prepare"]["inputs"] == shorter.tasks["prepare"]["inputs"]


def test_the_platform_tells_every_pod_the_name_of_its_run(compiled):
    made = compiled(single(Prepare))
    assert made.pods["prepare"]["fieldPathAsEnv"] == [
        {"name": "KFP_RUN_ID", "fieldPath": "metadata.labels['pipeline/runid']"}
    ]


if __name__ == "__main__":
    for golden_name in NAMES:
        path = GOLDEN / f"{golden_name}.yaml"
        with tempfile.TemporaryDirectory() as project:
            path.write_text(stable(compile_golden(golden_name, Path(project)).to_yaml()))
        print(f"wrote {path}")
