"""A task whose pod nodes share, as people who ask about its nodes see it."""

from __future__ import annotations

from pathlib import Path

import pytest

from penstock.errors import RunError
from penstock.runners.kubeflow.compile.compiling import compile_for_kubeflow
from penstock.runners.kubeflow.contract import documents, parts
from penstock.runners.kubeflow.server import connecting, logs, operations, submission, versions
from penstock.runners.kubeflow.server.pods import PodLog
from penstock.testing.kubeflow import FakePipelines, Play
from penstock_support import IMPORT_PATH, pod_components
from penstock_support.kubeflow_pipelines import cluster
from penstock_support.kubeflow_service import HASTY

NODES = ("Makes", "Counts")


def nobody(*_):
    return PodLog(reason="nobody may look")


@pytest.fixture(params=[False, True], ids=["details", "tasks"])
def asked(request):
    """A server's run that is over, whose nodes have shared a pod; the second of them failed."""
    profile = cluster(share_pods=True, small_nodes=("Counts",))
    compiled = compile_for_kubeflow(pod_components.counted, profile, Path(IMPORT_PATH))
    log = [parts.heading(NODES, "Makes"), "3 rows", parts.heading(NODES, "Counts"), "no luck"]
    play = Play(fails="makes-counts", messages={"makes-counts": "\n".join([*log, ""])})
    with FakePipelines(has_tasks=request.param) as server:
        server.set_play(play)
        service = connecting.connect(server.host, patience=HASTY)
        version = versions.upload(service, documents.read(compiled.to_yaml()))
        started = submission.submit(
            service,
            submission.Request(
                {"pipeline_version_reference": version.reference()},
                {},
                versions.experiment_id(service, "Default"),
                "counted",
            ),
            submission.new_token(),
        )
        operations.wait(service, started.run_id)
        yield service, operations.find_run(service, started.run_id)


def test_the_status_of_a_run_has_one_line_for_the_nodes_of_a_pod(asked):
    service, run = asked
    [node] = operations.status_of(service, run).nodes
    assert (node.name, node.state) == ("Makes + Counts", "FAILED")


def test_the_log_of_a_node_is_its_part_of_the_pod_s(asked):
    service, run = asked
    assert logs.read_log(service, run, "makes", nobody) == "3 rows\n"
    assert logs.read_log(service, run, "Counts", nobody) == "no luck\n"


def test_the_log_of_the_task_is_all_of_it(asked):
    service, run = asked
    whole = logs.read_log(service, run, "makes-counts", nobody)
    assert "3 rows" in whole
    assert "no luck" in whole
    assert logs.read_log(service, run, "Makes + Counts", nobody) == whole


def test_a_node_that_is_not_there_is_told_with_those_of_pods_too(asked):
    service, run = asked
    with pytest.raises(RunError, match="has no node 'Count'") as caught:
        logs.read_log(service, run, "Count", nobody)
    assert caught.value.hint == "Did you mean 'Counts'?"


def test_what_takes_nothing_from_the_cache_says_so_to_each_node_of_a_pod():
    profile = cluster(share_pods=True, small_nodes=("Counts",))
    compiled = compile_for_kubeflow(pod_components.counted, profile, Path(IMPORT_PATH))
    spec = documents.read(compiled.to_yaml()).without_cache()["pipeline_spec"]
    [executor] = spec["deploymentSpec"]["executors"].values()
    told = [a for a in executor["container"]["args"] if "pipeline" in a]
    assert len(told) == 2
    assert all("'caching_options':{}" in text for text in told)
