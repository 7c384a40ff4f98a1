"""What is made of a server's answers about tasks, of whichever kind it is."""

from __future__ import annotations

from penstock.runners.kubeflow.server.tasks import CACHED, fnv1a, task_runs

AT, LATER = "2026-01-01T00:00:00Z", "2026-01-01T00:00:30Z"


def detail(name, state, children=(), pod_name="", ended=LATER):
    return {
        "display_name": name,
        "state": state,
        "start_time": AT,
        "end_time": ended,
        "child_tasks": [{"pod_name": child} for child in children],
        **({"pod_name": pod_name} if pod_name else {}),
    }


def runs(*details):
    return task_runs({"run_details": {"task_details": list(details)}})


def test_argo_s_hash_is_that_of_fnv():
    assert fnv1a("") == 2166136261
    assert fnv1a("foobar") == 0xBF9CF968


def test_a_task_s_pods_are_those_below_its_executor_and_none_of_the_next_task():
    known = runs(
        detail("first", "SUCCEEDED", ["w-2"], "w-1"),
        detail("executor", "SUCCEEDED", ["w-3", "w-4"], "w-2"),
        detail("executor(0)", "FAILED", [], "w-3"),
        detail("executor(1)", "SUCCEEDED", ["w-5"], "w-4"),
        detail("last-driver", "SUCCEEDED", [], "w-5"),
    )
    pods = known["first"].pods
    assert pods[:2] == ("w-system-container-impl-4", "w-4")
    assert not {"w-5", "w-system-container-impl-5"} & set(pods)


def test_a_task_whose_executor_was_skipped_is_cached():
    known = runs(
        detail("first", "SUCCEEDED", ["w-2"], "w-1"),
        detail("executor", "SKIPPED", ["w-5"], "w-2"),
        detail("last-driver", "SUCCEEDED", [], "w-5"),
    )
    assert known["first"].state == CACHED


def test_where_nodes_are_not_named_a_task_is_cached_if_nothing_took_time():
    skipped = detail("executor", "SKIPPED", ended=AT)
    known = runs(
        detail("first", "SUCCEEDED", ["w-2"], ended=AT), detail("last", "SUCCEEDED"), skipped
    )
    assert (known["first"].state, known["last"].state) == (CACHED, "SUCCEEDED")


def test_the_tries_of_a_pod_inside_a_group_are_found_by_their_paths():
    executor = f"w-{fnv1a('w.root.exit-handler-1.first.executor')}"
    known = runs(
        detail("exit-handler-1", "RUNNING"),
        detail("exit-handler-1-driver", "SUCCEEDED"),
        detail("first", "RUNNING", [executor]),
    )
    first_try = fnv1a("w.root.exit-handler-1.first.executor(0)")
    assert f"w-system-container-impl-{first_try}" in known["first"].pods


def test_tasks_without_ml_metadata_say_their_states_and_pods_themselves():
    task = {
        "name": "first",
        "state": "FAILED",
        "create_time": AT,
        "end_time": LATER,
        "status_metadata": {"message": "no luck"},
        "pods": [{"name": "d", "type": "DRIVER"}, {"name": "e", "type": "EXECUTOR"}],
    }
    first = task_runs({"tasks": [task]})["first"]
    assert (first.state, first.error, first.pods) == ("FAILED", "no luck", ("e",))
    assert (first.ended - first.started).total_seconds() == 30
