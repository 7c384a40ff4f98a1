"""Control flow and options of pods, beside what the SDK of Kubeflow writes for the same."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from penstock import Output, Retries, component, pipeline, with_options
from penstock.artifacts import PushedModel
from penstock.pods import (
    ConfigMap,
    EmptyDir,
    Gpu,
    NodeAffinity,
    PodOptions,
    Secret,
    Toleration,
    Volume,
)
from penstock.runners.kubeflow.contract.texts import OWN
from penstock.runners.kubeflow.contract.tries import Tries
from penstock_support.kubeflow_pipelines import Count, Learn, Notify, Prepare, single


@pytest.fixture(scope="module")
def theirs(tmp_path_factory) -> SimpleNamespace:
    """The same constructs as Kubeflow's SDK writes them."""
    from kfp import compiler

    from penstock_support.kubeflow_sdk_pipelines import toy

    path = tmp_path_factory.mktemp("theirs") / "toy.yaml"
    compiler.Compiler().compile(toy, str(path))
    spec, platform = yaml.safe_load_all(path.read_text())
    dags = {
        name: component["dag"]["tasks"]
        for name, component in spec["components"].items()
        if "dag" in component
    }
    return SimpleNamespace(
        spec=spec,
        root=spec["root"]["dag"]["tasks"],
        tasks={name: task for dag in dags.values() for name, task in dag.items()},
        containers={
            label.removeprefix("exec-"): executor["container"]
            for label, executor in spec["deploymentSpec"]["executors"].items()
        },
        pod=platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]["exec-work"],
    )


def without_new_fields(value: Any) -> Any:
    """Leave out the fields that older backends do not know, which stand beside those they do."""
    if isinstance(value, dict):
        return {
            key: without_new_fields(item)
            for key, item in value.items()
            if not key.endswith("NameParameter") and (key, item) != ("optional", False)
        }
    if isinstance(value, list):
        return [without_new_fields(item) for item in value]
    return value


def test_parameters_of_a_run_are_written_as_the_sdk_writes_them(compiled, theirs):
    @pipeline(name="toy")
    def toy(steps: int = 5, rate: float = 0.5, label: str = "a", verbose: bool = False):
        examples = Prepare(label=label, verbose=verbose)
        return Learn(examples=examples.outputs["examples"], rate=rate), Count(start=steps)

    found = compiled(toy).spec["root"]["inputDefinitions"]["parameters"]
    assert found == {
        name: defined
        for name, defined in theirs.spec["root"]["inputDefinitions"]["parameters"].items()
        if name != "who"
    }


def test_a_parameter_without_a_default_must_be_given(compiled):
    @pipeline(name="toy")
    def toy(label: str):
        return Prepare(label=label)

    found = compiled(toy).spec["root"]["inputDefinitions"]["parameters"]
    assert found == {"label": {"parameterType": "STRING"}}


def of_the_run(task: dict[str, Any]) -> dict[str, Any]:
    """Return what a task takes beside what it is told of its node."""
    return {name: taken for name, taken in task["inputs"]["parameters"].items() if name != OWN}


def test_a_parameter_reaches_the_nodes_that_depend_on_it_and_no_others(compiled, pod_task):
    @pipeline(name="toy")
    def toy(label: str = "a", start: int = 1):
        return Prepare(label=label), Count(start=start)

    made = compiled(toy)
    assert of_the_run(made.tasks["prepare"]) == {"label": {"componentInputParameter": "label"}}
    assert pod_task(made, "prepare").parameters == {"label": "str"}
    assert pod_task(made, "count").parameters == {"start": "int"}


def test_values_of_the_profile_are_the_defaults(compiled):
    from dataclasses import replace

    from penstock_support.kubeflow_pipelines import cluster

    @pipeline(name="toy")
    def toy(start: int = 1):
        return Count(start=start)

    made = compiled(toy, profile=replace(cluster(), parameters={"toy": {"start": 7}}))
    found = made.spec["root"]["inputDefinitions"]["parameters"]
    assert found["start"]["defaultValue"] == 7


def test_retries_are_the_pods_own_and_in_no_cache_key(compiled):
    retries = Retries(2, after=("error",), pause_seconds=5)
    made = compiled(single(lambda: Prepare().with_options(retries=retries, timeout_seconds=60)))
    assert "retryPolicy" not in made.tasks["prepare"]
    told = {entry["name"]: entry["value"] for entry in made.containers["prepare"]["env"]}
    assert Tries.from_text(told["PENSTOCK_TRIES"]) == Tries(retries, 60)
    plain = compiled(single(Prepare))
    assert made.containers["prepare"]["args"] == plain.containers["prepare"]["args"]
    assert made.tasks["prepare"]["inputs"] == plain.tasks["prepare"]["inputs"]


def test_a_pod_has_time_to_try_as_often_as_it_may(compiled):
    retries = Retries(2, pause_seconds=30)
    made = compiled(single(lambda: Prepare().with_options(retries=retries, timeout_seconds=60)))
    # Ten minutes to start, three tries of a minute and a minute to end, pauses of 30 and 60 s.
    assert made.pods["prepare"]["activeDeadlineSeconds"] == str(600 + 3 * 120 + 90)


def test_a_node_without_cache_is_written_as_the_sdk_writes_it(compiled, theirs):
    cached = compiled(single(Prepare)).tasks["prepare"]
    assert cached["cachingOptions"] == theirs.tasks["decide"]["cachingOptions"]
    uncached = compiled(single(lambda: Prepare().with_options(cache=False))).tasks["prepare"]
    assert uncached["cachingOptions"] == theirs.tasks["work"]["cachingOptions"]


def test_of_a_node_that_takes_what_is_new_alone_our_cache_knows_the_age(compiled, pod_task):
    from penstock import ir

    made = compiled(single(lambda: Prepare().with_options(cache="1d")))
    assert made.tasks["prepare"]["cachingOptions"] == {}
    [node] = ir.view(pod_task(made, "prepare").ir())
    assert (node.is_cached, node.cache_seconds) == (True, 86400)


def test_without_cache_neither_kubeflow_nor_a_pod_takes_what_was_made_before(compiled, pod_task):
    from penstock import ir
    from penstock.runners.kubeflow.contract import documents

    made = compiled(single(Prepare))
    spec = documents.read(made.text).without_cache()["pipeline_spec"]
    made.tasks = spec["root"]["dag"]["tasks"]
    assert made.tasks["prepare"]["cachingOptions"] == {}
    made.containers["prepare"] = spec["deploymentSpec"]["executors"]["exec-prepare"]["container"]
    [node] = ir.view(pod_task(made, "prepare").ir())
    assert not node.is_cached


def test_a_node_that_looks_outside_before_it_runs_is_not_cached_by_kubeflow(compiled):
    from penstock.components import CsvExampleGen

    made = compiled(single(lambda: CsvExampleGen(input_base="s3://data")))
    assert made.tasks["csvexamplegen"]["cachingOptions"] == {}


@component
def Push(pushed: Output[PushedModel]) -> None:
    """Push."""


def test_what_was_pushed_is_looked_at_by_our_cache_and_not_by_kubeflow_s(compiled):
    made = compiled(single(Push))
    assert made.tasks["push"]["cachingOptions"] == {}


def test_the_options_of_a_pod_are_written_as_the_sdk_writes_them(compiled, theirs):
    pod = PodOptions(
        image_pull_policy="Always",
        image_pull_secrets=("registry",),
        cpu="2",
        cpu_request="500m",
        memory="4Gi",
        shared_memory="2Gi",
        gpu=Gpu(count=2),
        node_selector={"pool": "gpu"},
        tolerations=(Toleration("spot", "Exists", effect="NoSchedule"),),
        secrets=(Secret("store", key="password", env="PASSWORD"), Secret("tls", path="/etc/tls")),
        config_maps=(ConfigMap("settings", key="level", env="LEVEL"),),
        volumes=(Volume("raw", "/data"),),
        labels={"team": "taxi"},
        annotations={"cost": "high"},
    )
    toy = single(lambda: Prepare().with_options(pod=pod, timeout_seconds=60))
    made = compiled(toy, secrets=())
    # Ten minutes to start and one to end beyond the SDK's: the pod itself ends a try.
    pod = {**without_new_fields(theirs.pod), "activeDeadlineSeconds": str(60 + 660)}
    assert made.pods["prepare"] == pod
    resources = made.containers["prepare"]["resources"]
    expected = dict(theirs.containers["work"]["resources"])
    assert resources.pop("memoryRequest") == expected["memoryLimit"]
    assert resources.pop("resourceMemoryRequest") == "4Gi"
    assert resources == expected


def test_room_and_affinities_of_a_pod_are_in_the_terms_of_kubernetes(compiled):
    pod = PodOptions(
        empty_dirs=(EmptyDir("/scratch", "10Gi"), EmptyDir("/ram", "1Gi", in_memory=True)),
        affinities=(
            NodeAffinity("zone", "In", ("a", "b")),
            NodeAffinity("spot", "DoesNotExist"),
            NodeAffinity("disk", "In", ("ssd",), weight=50),
        ),
    )
    made = compiled(single(lambda: Prepare().with_options(pod=pod))).pods["prepare"]
    assert made["emptyDirMounts"] == [
        {"volumeName": "empty-dir-1", "mountPath": "/scratch", "sizeLimit": "10Gi"},
        {
            "volumeName": "empty-dir-2",
            "mountPath": "/ram",
            "medium": "Memory",
            "sizeLimit": "1Gi",
        },
    ]
    both = [
        {"key": "zone", "operator": "In", "values": ["a", "b"]},
        {"key": "spot", "operator": "DoesNotExist"},
    ]
    assert made["nodeAffinity"] == [
        {"matchExpressions": both},
        {
            "matchExpressions": [{"key": "disk", "operator": "In", "values": ["ssd"]}],
            "weight": 50,
        },
    ]


def test_variables_without_secrets_stand_on_the_container(compiled):
    toy = single(lambda: Prepare().with_options(pod=PodOptions(env={"LEVEL": "debug"})))
    assert {"name": "LEVEL", "value": "debug"} in compiled(toy).containers["prepare"]["env"]


def test_a_container_is_told_its_image(compiled):
    container = compiled(single(Prepare)).containers["prepare"]
    assert {"name": "PENSTOCK_IMAGE", "value": container["image"]} in container["env"]


def test_resources_in_the_form_of_tfx_count_too(compiled):
    from penstock.runners.kubeflow.compile import protos

    container = protos.pipeline_spec().PipelineDeploymentConfig.PipelineContainerSpec
    asked = container.ResourceSpec(cpu_limit=2, memory_limit=4)
    made = compiled(single(lambda: Prepare().with_platform_config(asked)))
    resources = made.containers["prepare"]["resources"]
    assert (resources["resourceCpuLimit"], resources["resourceMemoryLimit"]) == ("2", "4G")


def exit_handler(**options: Any) -> Any:
    @pipeline(name="toy")
    def toy(message: str = "done", label: str = "a"):
        examples = Prepare(label=label)
        model = Learn(examples=examples.outputs["examples"])
        last = Notify(message=message).with_options(start="completed", **options)
        last.add_upstream_node(model)
        return model, last

    return toy


def test_a_node_that_starts_after_failures_is_an_exit_handler_as_the_sdk_writes_it(
    compiled, theirs
):
    made = compiled(exit_handler())
    last, expected = made.tasks["notify"], theirs.root["notify"]
    assert last["triggerPolicy"] == expected["triggerPolicy"]
    assert last["dependentTasks"] == expected["dependentTasks"] == ["exit-handler-1"]
    group = made.tasks["exit-handler-1"]
    assert group["componentRef"] == theirs.root["exit-handler-1"]["componentRef"]
    assert set(made.tasks) == {"notify", "exit-handler-1"}


def test_an_exit_handler_is_never_taken_from_a_cache(compiled):
    made = compiled(exit_handler())
    assert not made.tasks["notify"].get("cachingOptions", {}).get("enableCache")


def test_the_pipeline_inside_an_exit_handler_gets_the_parameters_of_the_run(compiled):
    made = compiled(exit_handler())
    inner = made.spec["components"]["comp-exit-handler-1"]
    assert set(inner["dag"]["tasks"]) == {"prepare", "learn"}
    assert of_the_run(inner["dag"]["tasks"]["prepare"]) == {
        "label": {"componentInputParameter": "label"}
    }
    assert inner["inputDefinitions"]["parameters"]["label"] == {"parameterType": "STRING"}
    assert made.tasks["exit-handler-1"]["inputs"]["parameters"]["label"] == {
        "componentInputParameter": "label"
    }


def conditional(**options: Any) -> Any:
    from tfx.dsl.experimental.conditionals import conditional as cond

    @pipeline(name="toy")
    def toy():
        count = Count()
        examples = Prepare()
        with cond.Cond(count.outputs["output"].future()[0].value > 3):
            model = Learn(examples=examples.outputs["examples"]).with_options(**options)
            notified = Notify()
        return model, notified

    return toy


def test_a_condition_is_decided_in_a_pod_and_obeyed_as_the_sdk_writes_it(
    compiled, theirs, pod_task
):
    made = compiled(conditional())
    name = "condition-holds"
    assert made.tasks["learn"]["inputs"]["parameters"][name] == {
        "taskOutputParameter": {"outputParameterKey": "holds", "producerTask": "decide-learn"}
    }
    condition = theirs.tasks["condition-2"]["triggerPolicy"]["condition"]
    assert made.tasks["learn"]["triggerPolicy"]["condition"] == condition.replace(
        "pipelinechannel--decide-holds", name
    )
    deciding = pod_task(made, "decide-learn")
    assert (deciding.action, deciding.node) == ("decide", "Learn")
    assert [taken.producer for taken in deciding.inputs] == ["Count"]
    outputs = made.spec["components"]["comp-decide-learn"]["outputDefinitions"]
    assert outputs == theirs.spec["components"]["comp-decide"]["outputDefinitions"]


def test_what_a_node_asks_for_is_not_for_the_pod_that_decides_about_it(compiled):
    toy = conditional(pod=PodOptions(gpu=Gpu()), retries=3, timeout_seconds=60)
    made = compiled(toy, memory="1Gi")
    assert "accelerator" in made.containers["learn"]["resources"]
    assert "accelerator" not in made.containers["decide-learn"]["resources"]
    assert made.containers["decide-learn"]["resources"]["resourceMemoryLimit"] == "1Gi"
    assert "retryPolicy" not in made.tasks["decide-learn"]
    assert "activeDeadlineSeconds" not in made.pods["decide-learn"]


def test_nodes_with_one_condition_share_its_decision(compiled):
    made = compiled(conditional())
    deciding = [name for name in made.tasks if name.startswith("decide-")]
    assert deciding == ["decide-learn"]
    assert "decide-learn" in made.tasks["notify"]["dependentTasks"]


def test_any_node_of_tfx_takes_options(compiled):
    from penstock._tfx import Importer
    from penstock.artifacts import Examples

    def make():
        node = Importer(source_uri="s3://old", artifact_type=Examples).with_id("old_examples")
        return with_options(node, pod=PodOptions(cpu="1"))

    made = compiled(single(make))
    assert made.containers["old-examples"]["resources"]["resourceCpuLimit"] == "1"


def test_importers_and_resolvers_are_tasks_that_are_never_cached(compiled, pod_task):
    from penstock.artifacts import Examples
    from penstock.components import LatestArtifact

    @pipeline(name="toy")
    def toy():
        made = Prepare()
        latest = LatestArtifact(made.outputs["examples"], key="examples").with_id("latest")
        return made, Learn(examples=latest.outputs["examples"])

    made = compiled(toy)
    assert Examples.TYPE_NAME == "Examples"
    assert made.tasks["latest"]["cachingOptions"] == {}
    looking = pod_task(made, "latest")
    assert [output.key for output in looking.outputs] == ["examples"]
    assert looking.inputs == ()
    [taken] = pod_task(made, "learn").inputs
    assert taken.by_run


def test_artifacts_of_several_producers_come_by_several_names(compiled, pod_task):
    from penstock.artifacts import Model  # noqa: F401  # what Join takes
    from penstock_support import example_components as examples

    @pipeline(name="toy")
    def toy():
        first = examples.Doubling(base=1).with_id("first")
        second = examples.Doubling(base=2).with_id("second")
        return examples.Join(models=[first.outputs["model"], second.outputs["model"]])

    made = compiled(toy)
    inputs = pod_task(made, "join").inputs
    assert [taken.producer for taken in inputs] == ["first", "second"]
    assert set(made.tasks["join"]["inputs"]["artifacts"]) == {taken.name for taken in inputs}


def test_an_evaluation_can_be_drawn_and_every_node_reports(compiled, pod_task):
    made = compiled(single(Prepare))
    outputs = made.spec["components"]["comp-prepare"]["outputDefinitions"]["artifacts"]
    assert {
        name: kind["artifactType"]["schemaTitle"]
        for name, kind in outputs.items()
        if name.startswith("penstock_")
    } == {"penstock_metrics": "system.Metrics", "penstock_report": "system.HTML"}
    assert pod_task(made, "prepare").shown == ("penstock_metrics", "penstock_report")
