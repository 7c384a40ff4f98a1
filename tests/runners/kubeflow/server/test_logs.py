"""What nodes have printed: from the server, or from Kubernetes where the server cannot look."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from penstock.errors import RunError
from penstock.runners.kubeflow.contract import documents
from penstock.runners.kubeflow.contract.documents import Task
from penstock.runners.kubeflow.server import connecting, logs, operations, submission, versions
from penstock.runners.kubeflow.server.pods import PodLog, read_pod_log
from penstock.testing.kubeflow import FakePipelines, Play
from penstock_support.kubeflow_service import HASTY
from penstock_support.kubeflow_specs import GREETING


@pytest.fixture(params=[False, True], ids=["details", "tasks"])
def server(request):
    """A server for one user, of each of the two kinds."""
    with FakePipelines(has_tasks=request.param) as running:
        yield running


@pytest.fixture
def shared(request):
    """A server for several users, which finds pods in their namespaces."""
    with FakePipelines(namespaces={"team"}) as running:
        yield running


def connected(server, namespace=""):
    return connecting.connect(server.host, patience=HASTY, namespace=namespace)


def start(service):
    version = versions.upload(service, documents.read(GREETING))
    request = submission.Request(
        {"pipeline_version_reference": version.reference()},
        {"n": 1},
        versions.experiment_id(service, "Default"),
        "greeting",
    )
    return submission.submit(service, request, submission.new_token()).run_id


def nobody(*_):
    return PodLog(reason="nobody may look")


def ended(service):
    run_id = start(service)
    operations.wait(service, run_id)
    return operations.find_run(service, run_id)


def test_the_archived_log_of_a_node_is_read_by_its_name_or_its_task_s(server):
    server.set_play(Play(messages={"second": "hello, you\n"}))
    service = connected(server)
    run = ended(service)
    assert logs.read_log(service, run, "Second", nobody) == "hello, you\n"
    assert logs.read_log(service, run, "second", nobody) == "hello, you\n"


def test_a_running_pod_s_log_is_read_from_kubernetes_where_the_server_cannot_look(server):
    service = connected(server)
    run_id = start(service)
    run = operations.find_run(service, run_id)
    asked = []

    def read(namespace, run_id, task):
        asked.append((namespace, run_id, task.key))
        return PodLog("so far\n")

    assert logs.read_log(service, run, "First", read) == "so far\n"
    assert asked == [("kubeflow", run_id, "first")]


def test_a_running_pod_whose_log_nobody_can_read_is_told_with_the_command(server):
    service = connected(server)
    run = operations.find_run(service, start(service))
    with pytest.raises(RunError, match="which is running, cannot be read: the server says") as told:
        logs.read_log(service, run, "First", nobody)
    assert "nobody may look" in str(told.value)
    assert f"kubectl logs -n kubeflow -l pipeline/runid={run['run_id']} -c main" in str(told.value)


def test_a_server_for_several_users_reads_the_log_of_a_pod_that_runs(shared):
    service = connected(shared, "team")
    run = operations.find_run(service, start(service))
    assert logs.read_log(service, run, "First", nobody) == "first says hello\n"


def test_following_shows_what_is_new_until_the_node_is_over(shared):
    service = connected(shared, "team")
    run_id = start(service)
    shown = []
    for text in logs.follow(service, run_id, "Second", nobody):
        shown.append(text)
        if len(shown) == 1:
            shared.state.playing[run_id].logs["second"] += "and more\n"
    assert "".join(shown) == "second says hello\nand more\n"


def test_a_log_that_is_gone_with_its_pod_is_told(server):
    service = connected(server)
    run = ended(service)
    server.state.playing[run["run_id"]].logs.clear()
    with pytest.raises(RunError, match="its pod is gone") as told:
        logs.read_log(service, run, "First", nobody)
    assert "archiveLogs" in str(told.value)


def test_a_cached_node_has_no_log_and_nobody_else_s_is_shown(server):
    server.set_play(Play(cached=frozenset({"first"})))
    service = connected(server)
    run = ended(service)
    with pytest.raises(RunError, match="Kubeflow's cache has lent what an earlier run had made"):
        logs.read_log(service, run, "First", nobody)


def test_a_node_that_has_not_run_has_no_log(server):
    service = connected(server)
    run = operations.find_run(service, start(service))
    with pytest.raises(RunError, match="Second of run .* has no log: it has not run"):
        logs.read_log(service, run, "Second", nobody)


def test_a_node_of_another_name_is_answered_with_the_nearest(server):
    service = connected(server)
    run = operations.find_run(service, start(service))
    with pytest.raises(RunError, match="has no node 'Secnd'. Did you mean 'Second'?"):
        logs.read_log(service, run, "Secnd", nobody)


def pod(name, node, created):
    return {
        "metadata": {
            "name": name,
            "creationTimestamp": created,
            "annotations": {"workflows.argoproj.io/node-name": node},
        }
    }


PODS = [
    pod("w-driver", "w.root.first-driver", "2026-01-01T00:00:00Z"),
    pod("w-1", "w.root.first.executor(0)", "2026-01-01T00:00:01Z"),
    pod("w-2", "w.root.first.executor(1)", "2026-01-01T00:00:02Z"),
    pod("w-other", "w.root.last-first.executor(0)", "2026-01-01T00:00:03Z"),
    *(
        pod(
            f"w-item-{index}",
            f"w.root.for-each-1.iteration-iterations({index}:{index}).iteration-item.train.executor",
            f"2026-01-01T00:00:0{index}Z",
        )
        for index in range(2)
    ),
]
LOGS = {"w-2": "its second try ✓\n", "w-item-0": "the first item\n", "w-item-1": "the second\n"}


class Kubernetes(BaseHTTPRequestHandler):
    """Answers as the API of Kubernetes does about the pods of a run, and their logs."""

    def do_GET(self):
        path, _, query = self.path.partition("?")
        if (
            path == "/api/v1/namespaces/team/pods"
            and "labelSelector=pipeline%2Frunid%3Drun" in query
        ):
            self.answer(200, json.dumps({"items": PODS}).encode())
            return
        name = path.removeprefix("/api/v1/namespaces/team/pods/").removesuffix("/log")
        if name in LOGS and "container=main" in query:
            self.answer(200, LOGS[name].encode())
        else:
            self.answer(403, b"{}")

    def answer(self, status, body):
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        pass


@pytest.fixture
def kubeconfig(tmp_path, monkeypatch):
    """A kubeconfig file for an API that has the pods of a run."""
    with HTTPServer(("127.0.0.1", 0), Kubernetes) as api:
        threading.Thread(target=api.serve_forever, daemon=True).start()
        path = tmp_path / "config"
        path.write_text(
            json.dumps(
                {
                    "apiVersion": "v1",
                    "kind": "Config",
                    "current-context": "here",
                    "contexts": [{"name": "here", "context": {"cluster": "here", "user": "me"}}],
                    "clusters": [
                        {
                            "name": "here",
                            "cluster": {"server": f"http://127.0.0.1:{api.server_port}"},
                        }
                    ],
                    "users": [{"name": "me", "user": {"token": "let me in"}}],
                }
            )
        )
        monkeypatch.setattr("kubernetes.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", str(path))
        yield
        api.shutdown()


def test_kubernetes_has_the_log_of_a_task_s_last_pod(kubeconfig):
    assert read_pod_log("team", "run", Task("first", "First")) == PodLog("its second try ✓\n")


@pytest.mark.parametrize(("item", "text"), [(0, "the first item\n"), (1, "the second\n")])
def test_kubernetes_has_the_log_of_each_item_of_a_loop(kubeconfig, item, text):
    task = Task("train", "Train", ("Train",), ("for-each-1",), (item,))
    assert read_pod_log("team", "run", task) == PodLog(text)


def test_a_task_that_has_no_pod_in_the_namespace_is_told(kubeconfig):
    found = read_pod_log("team", "run", Task("third", "Third"))
    assert found == PodLog(reason="the namespace team has no pod of it")


def test_who_may_not_look_at_pods_is_told_the_status(kubeconfig):
    found = read_pod_log("theirs", "run", Task("first", "First"))
    assert found == PodLog(reason="Kubernetes refuses it with status 403")
