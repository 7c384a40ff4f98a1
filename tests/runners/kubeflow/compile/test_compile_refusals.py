"""What Kubeflow Pipelines cannot do is told by name, with what to do instead."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tfx.dsl.experimental.conditionals import conditional

from penstock import RunLimit, compile_pipeline, ir, pipeline
from penstock.errors import ConfigError, ParameterError, PipelineError, UserCodeError
from penstock.pods import PodOptions, Secret, Volume
from penstock.runners.kubeflow.compile import protos
from penstock.runners.kubeflow.compile.compiling import compile_for_kubeflow
from penstock.runners.kubeflow.contract import documents
from penstock.runners.kubeflow.server.submission import Request
from penstock_support import example_components as examples
from penstock_support.kubeflow_pipelines import (
    Count,
    Learn,
    Notify,
    Prepare,
    Summarize,
    cluster,
    single,
)


def after_each_other(**options: Any) -> Any:
    @pipeline(name="toy")
    def toy():
        made = Prepare().with_options(**options.get("first", {}))
        last = Learn(examples=made.outputs["examples"])
        return last.with_options(**options.get("last", {}))

    return toy


def test_a_limit_that_no_server_would_know_of_is_refused():
    profile = replace(cluster(), limits={"toy": RunLimit(1)})
    with pytest.raises(ConfigError, match="limits how many runs of toy .*`concurrency`"):
        compile_for_kubeflow(after_each_other(), profile, Path("/x"))


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (
            {"first": {"start": "completed"}},
            "node Prepare starts after failures too, and Learn after it.*Let nothing depend on",
        ),
        ({"last": {"optional": True}}, "node Learn is optional: in Kubeflow Pipelines a failed"),
        (
            {"first": {"start": "lazily_succeeded"}},
            'node Prepare starts lazily upstream succeeded.*Use start="succeeded"',
        ),
    ],
)
def test_how_a_node_starts_is_refused_where_kubeflow_cannot_do_it(compiled, options, told):
    with pytest.raises(PipelineError, match=told):
        compiled(after_each_other(**options))


def test_an_optional_node_before_others_is_refused(compiled):
    @pipeline(name="toy")
    def toy():
        first, last = Notify().with_options(optional=True), Prepare()
        last.add_upstream_node(first)
        return last

    with pytest.raises(
        PipelineError, match="node Notify is optional, and Prepare after it.*Catch the failure"
    ):
        compiled(toy)


def test_an_exit_handler_that_takes_what_may_not_be_made_is_refused(compiled):
    @pipeline(name="toy")
    def toy():
        made = Prepare()
        return Summarize(examples=made.outputs["examples"]).with_options(start="completed")

    with pytest.raises(
        PipelineError, match="but takes 'examples' from Prepare, which may not.*add_upstream_node"
    ):
        compiled(toy)


def test_two_exit_handlers_are_refused(compiled):
    @pipeline(name="toy")
    def toy():
        made = Prepare()
        handlers = [Notify().with_id(name).with_options(start="completed") for name in ("a", "b")]
        for handler in handlers:
            handler.add_upstream_node(made)
        return made, *handlers

    with pytest.raises(PipelineError, match="nodes a and b both start.*in one node"):
        compiled(toy)


def test_an_exit_handler_of_nothing_is_refused(compiled):
    toy = single(lambda: Notify().with_options(start="completed"))
    with pytest.raises(PipelineError, match="Notify is the exit handler of a pipeline without"):
        compiled(toy)


def test_a_node_that_would_run_after_a_skipped_one_is_refused(compiled):
    @pipeline(name="toy")
    def toy():
        count = Count()
        with conditional.Cond(count.outputs["output"].future()[0].value > 3):
            skipped = Notify().with_id("skipped")
        after = Notify().with_id("after")
        after.add_upstream_node(skipped)
        return after

    with pytest.raises(
        PipelineError, match="node after runs even if skipped is skipped.*under the same condition"
    ):
        compiled(toy)


def test_a_node_that_needs_what_a_condition_may_prevent_is_skipped_with_it(compiled):
    @pipeline(name="toy")
    def toy():
        count = Count()
        with conditional.Cond(count.outputs["output"].future()[0].value > 3):
            made = Prepare()
        return Learn(examples=made.outputs["examples"])

    assert "triggerPolicy" not in compiled(toy).tasks["learn"]


def test_a_node_for_each_of_several_artifacts_is_refused(compiled):
    from tfx.dsl.components.common.resolver import Resolver
    from tfx.dsl.input_resolution.strategies.latest_artifact_strategy import (
        LatestArtifactStrategy,
    )

    from penstock._tfx import channel, pipeline_pb2
    from penstock.artifacts import Examples

    def make():
        return Resolver(
            strategy_class=LatestArtifactStrategy, examples=channel.Channel(type=Examples)
        ).with_id("each")

    looped = compile_pipeline(single(make), pipeline_root="/root")
    step = pipeline_pb2.InputGraph.Node()
    step.op_node.op_type = "tfx.internal.Unnest"
    looped.nodes[0].pipeline_node.inputs.input_graphs["loop"].nodes["op"].CopyFrom(step)
    with pytest.raises(PipelineError, match="node each runs once for each of several artifacts"):
        compiled(looped)


def test_a_platform_config_of_another_platform_is_refused(compiled):
    from google.protobuf import duration_pb2

    toy = single(lambda: Prepare().with_platform_config(duration_pb2.Duration(seconds=1)))
    with pytest.raises(PipelineError, match="is a google.protobuf.Duration.*PodOptions"):
        compiled(toy)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"kubeflow": None}, "the profile 'cluster' has no table kubeflow.*profiles.cluster"),
        ({"metadata": ""}, "the metadata store is not given, and pods need one.*penstock metadata"),
        ({"metadata": "/me/store.sqlite"}, "the metadata store names a file on this machine"),
        ({"metadata": "sqlite:////me/store"}, "the metadata store names a file on this machine"),
    ],
)
def test_a_profile_that_does_not_suffice_is_told(compiled, changes, told):
    with pytest.raises(ConfigError, match=told):
        compiled(single(Prepare), profile=replace(cluster(), **changes))


def test_a_profile_without_an_image_is_told(compiled):
    with pytest.raises(ConfigError, match="there is no image for pods.*penstock build"):
        compiled(single(Prepare), image="")


def test_a_parameter_of_the_profile_that_the_pipeline_has_not_is_told(compiled):
    profile = replace(cluster(), parameters={"toy": {"stepz": 1}})
    with pytest.raises(ParameterError, match="pipeline toy has no parameter 'stepz'"):
        compiled(single(Prepare), profile=profile)


def test_components_outside_of_the_project_are_refused(tmp_path):
    with pytest.raises(
        PipelineError,
        match="node Prepare: its code, penstock_support.kubeflow_pipelines, lies in .*outside of",
    ):
        compile_for_kubeflow(single(Prepare), cluster(), tmp_path)


def trains(module_file: Path) -> Any:
    from penstock.components import Trainer
    from penstock.components.trainer.component import TrainArgs

    @pipeline(name="toy")
    def toy():
        data = examples.MakeExamples()
        return Trainer(
            examples=data.outputs["examples"],
            module_file=str(module_file),
            train_args=TrainArgs(num_steps=1),
        )

    return toy


def test_a_module_file_outside_of_the_project_is_refused(compiled, tmp_path):
    (tmp_path / "model.py").touch()
    with pytest.raises(PipelineError, match="its module_file, .*model.py, lies outside of"):
        compiled(trains(tmp_path / "model.py"))


def test_a_module_file_that_is_missing_is_told_before_anything_runs(compiled):
    missing = Path(examples.__file__).parent / "no_model.py"
    with pytest.raises(UserCodeError, match="no_model.py does not exist"):
        compiled(trains(missing))


def test_a_module_file_of_the_project_is_found_again_in_the_image(compiled, pod_task):
    made = compiled(trains(Path(examples.__file__)))
    task = pod_task(made, "trainer")
    [node] = [entry["pipeline_node"] for entry in task.pipeline["nodes"]]
    written = node["parameters"]["parameters"]["module_file"]["field_value"]["string_value"]
    assert written == "@{project}/support/penstock_support/example_components.py"
    assert pod_task(made, "makeexamples").import_paths == (".", "support")


def test_mounts_of_profile_and_pipeline_that_get_in_each_other_s_way_are_told_by_node(compiled):
    node = Prepare().with_options(pod=PodOptions(volumes=(Volume("mine", "/data"),)))
    with pytest.raises(PipelineError, match=r"node Prepare: the claim .* both mounted at /data"):
        compiled(single(lambda: node), volumes=(Volume("theirs", "/data"),))


def test_a_variable_that_may_be_missing_is_written_or_refused_in_words(compiled):
    maybe = PodOptions(secrets=(Secret("store", "key", "KEY", optional=True),))
    toy = single(lambda: Prepare().with_options(pod=maybe))
    if "optional" in protos.kubernetes().SecretAsEnv.DESCRIPTOR.fields_by_name:
        assert compiled(toy).pods["prepare"]["secretAsEnv"][0]["optional"] is True
        return
    with pytest.raises(PipelineError, match="cannot say that a SecretAsEnv is optional. Leave op"):
        compiled(toy)


BRACES = "{{workflow.name}}"


def test_braces_in_a_default_that_argo_would_fill_in_are_refused(compiled):
    @pipeline(name="toy")
    def toy(label: str = BRACES):
        return Prepare(label=label)

    with pytest.raises(ParameterError, match="the default of parameter 'label': Argo takes what"):
        compiled(toy)


def test_braces_in_a_parameter_of_a_run_are_refused_before_it_is_sent(compiled):
    @pipeline(name="toy")
    def toy(label: str):
        return Prepare(label=label)

    made = documents.read(compiled(toy).text)
    with pytest.raises(ParameterError, match="pipeline toy, parameter 'label': Argo takes what"):
        documents.check_parameters(made, {"label": BRACES})


def test_braces_in_the_name_of_a_run_are_refused():
    with pytest.raises(ParameterError, match="the name of the run: Argo takes what follows"):
        Request({}, {}, "1", BRACES)


@pytest.mark.parametrize("text", [BRACES, "{{" * 300, "{{$}}"])
def test_braces_in_a_constant_reach_the_pod_as_they_are_written(compiled, pod_task, text):
    made = compiled(single(lambda: Prepare(label=text)))
    assert "{{" not in made.text.replace('"{{$}}"', "")
    [node] = ir.view(pod_task(made, "prepare").ir())
    assert node.constants["label"] == text
