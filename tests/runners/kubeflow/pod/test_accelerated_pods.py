"""TFX's own components in pods, where engines of ours do their work."""

from __future__ import annotations

import pytest

from penstock.data.files import remote
from penstock.metadata.store import connect, connection_config
from penstock.runners.kubeflow.contract.task import RUN_ID_VARIABLE
from penstock.runners.kubeflow.pod.binding import bind
from penstock.runners.kubeflow.pod.launcher import ExecutorInput
from penstock_support.kubeflow_backend import compile_with_store

pytestmark = pytest.mark.needs("tfx.components")


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return tmp_path_factory.mktemp("store") / "metadata.sqlite"


@pytest.fixture(scope="module")
def compiled(store):
    from penstock_support.tfx_in_pods import taxi

    return compile_with_store(taxi(), store)


@pytest.fixture(scope="module")
def ended(backend, compiled):
    return backend.run(compiled, "run-1")


@pytest.mark.parametrize("node", ["CsvExampleGen", "StatisticsGen"])
def test_the_log_and_the_store_say_that_an_engine_of_ours_has_done_the_work(ended, store, node):
    assert f"{node}  done  accelerated" in ended[node.lower()].printed
    with connect(connection_config(str(store))) as metadata:
        types = {t.id: t.name for t in metadata.store.get_execution_types()}
        executions = metadata.store.get_executions()
    [execution] = [e for e in executions if types[e.type_id].endswith(f".{node}")]
    assert execution.custom_properties["__done_by__"].string_value == "accelerated"


def test_what_it_makes_is_what_tfx_s_component_makes(ended):
    uri = ended["csvexamplegen"].outputs["examples"]["uri"]
    names = sorted(file.url.removeprefix(uri) for file in remote.list_files(uri))
    assert names == [
        f"/Split-{split}/data_tfrecord-00000-of-00001.gz" for split in ("eval", "train")
    ]


def test_a_profile_leaves_the_work_to_tfx_s_executors(store, monkeypatch):
    from penstock_support.tfx_in_pods import taxi

    monkeypatch.setenv(RUN_ID_VARIABLE, "run-1")
    compiled = compile_with_store(taxi(), store, accelerate=False)
    [node] = bind(compiled.pod_task("statisticsgen"), ExecutorInput({}, {}, {}, {}, ""))
    assert node.executor_path == "tfx.components.statistics_gen.executor.Executor"
    assert node.done_by == "TFX's executor: acceleration is off"
