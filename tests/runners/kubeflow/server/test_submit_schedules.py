"""Schedules on the server."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.errors import RunError, ServiceError
from penstock.runners.kubeflow.contract import documents
from penstock.runners.kubeflow.server import connecting, schedules, versions
from penstock.runners.kubeflow.server.schedules import Timing
from penstock.testing.kubeflow import FakePipelines, Fault, FaultKind, Play
from penstock_support.kubeflow_service import HASTY
from penstock_support.kubeflow_specs import GREETING, PLATFORM


@pytest.fixture
def server():
    with FakePipelines() as running:
        yield running


@pytest.fixture
def service(server):
    return connecting.connect(server.host, patience=HASTY)


def wanted(service, timing=Timing(cron="0 0 6 * * *"), text=GREETING, name="nightly", **more):
    return schedules.Schedule(
        name=name,
        version=versions.upload(service, documents.read(text)),
        timing=timing,
        parameters={"n": 1},
        experiment_id=versions.experiment_id(service, "Default"),
        **more,
    )


def enabled(server):
    return [r["recurring_run_id"] for r in server.recurring_runs if r["status"] == "ENABLED"]


def test_a_schedule_runs_a_version_with_its_parameters(server, service):
    asked = wanted(service, concurrency=3, catch_up=True)
    done = schedules.apply(service, asked)
    [made] = server.recurring_runs
    assert (done.change, made["recurring_run_id"]) == ("created", done.recurring_run_id)
    assert made["status"] == "ENABLED"
    assert made["trigger"] == {"cron_schedule": {"cron": "0 0 6 * * *"}}
    assert (made["max_concurrency"], made["no_catchup"]) == ("3", False)
    run = server.trigger(done.recurring_run_id)
    assert run["pipeline_version_reference"] == asked.version.reference()


def test_the_same_again_changes_nothing(server, service):
    first = schedules.apply(service, wanted(service))
    second = schedules.apply(service, wanted(service))
    assert (second.change, second.recurring_run_id) == ("unchanged", first.recurring_run_id)
    assert len(server.recurring_runs) == 1


def test_a_changed_pipeline_takes_the_place_of_its_old_version(server, service):
    schedules.apply(service, wanted(service))
    asked = wanted(service, text=GREETING + PLATFORM)
    assert schedules.apply(service, asked).change == "moved"
    [only] = server.recurring_runs
    assert only["pipeline_version_reference"] == asked.version.reference()


def test_schedules_of_other_names_stay(server, service):
    schedules.apply(service, wanted(service))
    schedules.apply(service, wanted(service, name="hourly", timing=Timing(seconds=3600)))
    assert len(enabled(server)) == 2


def test_a_run_in_progress_outlives_the_move_of_its_schedule(server, service):
    server.set_play(Play(hold=True))
    first = schedules.apply(service, wanted(service))
    run = server.trigger(first.recurring_run_id)
    moved = schedules.apply(service, wanted(service, text=GREETING + PLATFORM))
    assert moved.left == (first.recurring_run_id,)
    assert enabled(server) == [moved.recurring_run_id]
    assert server.state.runs[run["run_id"]]["state"] == "PENDING"
    server.set_state(run["run_id"], "SUCCEEDED")
    schedules.apply(service, wanted(service, text=GREETING + PLATFORM))
    assert [r["recurring_run_id"] for r in server.recurring_runs] == [moved.recurring_run_id]


def test_an_interval_goes_on_from_where_the_old_version_had_it(server, service):
    hourly = Timing(seconds=3600)
    schedules.apply(service, wanted(service, hourly))
    created = datetime.fromisoformat(server.recurring_runs[0]["created_at"])
    later = created + timedelta(hours=5, minutes=30)
    schedules.apply(service, wanted(service, hourly, GREETING + PLATFORM), now=later)
    start = server.recurring_runs[0]["trigger"]["periodic_schedule"]["start_time"]
    assert datetime.fromisoformat(start) == created.replace(microsecond=0) + timedelta(hours=5)


def test_times_gone_by_are_not_made_up_for_again_after_a_move(server, service):
    timing = Timing(cron="0 0 6 * * *", start=datetime(2020, 1, 1, tzinfo=UTC))
    schedules.apply(service, wanted(service, timing, catch_up=True))
    first = server.recurring_runs[0]["trigger"]["cron_schedule"]["start_time"]
    now = datetime(2026, 5, 1, tzinfo=UTC)
    schedules.apply(service, wanted(service, timing, GREETING + PLATFORM, catch_up=True), now=now)
    second = server.recurring_runs[0]["trigger"]["cron_schedule"]["start_time"]
    assert (first, second) == ("2020-01-01T00:00:00Z", "2026-05-01T00:00:00Z")


def test_a_disabled_schedule_starts_nothing_until_it_is_enabled(server, service):
    done = schedules.apply(service, wanted(service))
    schedules.disable(service, "nightly")
    assert server.trigger(done.recurring_run_id) is None
    schedules.enable(service, "nightly")
    assert server.trigger(done.recurring_run_id) is not None


def test_a_removed_schedule_is_gone(server, service):
    schedules.apply(service, wanted(service))
    assert schedules.delete(service, "nightly") == ()
    assert server.recurring_runs == []


def test_a_schedule_of_another_name_is_answered_with_the_nearest(service):
    schedules.apply(service, wanted(service))
    with pytest.raises(RunError, match="there is no schedule 'nightl'. Did you mean 'nightly'?"):
        schedules.disable(service, "nightl")


def test_a_user_among_several_schedules_in_a_namespace_of_theirs():
    with FakePipelines(namespaces={"mine"}) as server:
        service = connecting.connect(server.host, namespace="mine", patience=HASTY)
        schedules.apply(service, wanted(service))
        assert schedules.apply(service, wanted(service)).change == "unchanged"
        assert [r["namespace"] for r in server.recurring_runs] == ["mine"]
        schedules.delete(service, "nightly")
        assert server.recurring_runs == []


@pytest.fixture(scope="module")
def shared():
    with FakePipelines() as running:
        service = connecting.connect(running.host, patience=HASTY)
        yield running, service, [wanted(service), wanted(service, text=GREETING + PLATFORM)]


KINDS = [kind for kind in FaultKind if kind not in (FaultKind.SLOW, FaultKind.LATE)]
CHANGES = st.tuples(
    st.sampled_from(KINDS),
    st.sampled_from([("POST", "/recurringruns"), ("DELETE", ""), ("GET", "/recurringruns")]),
    st.integers(1, 3),
)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 1), st.lists(CHANGES, max_size=2)), max_size=4))
def test_two_are_never_enabled_and_asking_again_brings_a_move_to_its_end(shared, attempts):
    server, service, versions_of_it = shared
    server.state.recurring_runs.clear()
    for number, weather in attempts:
        server.faults[:] = [
            Fault(kind, method, path, times, seconds=0) for kind, (method, path), times in weather
        ]
        with contextlib.suppress(ServiceError):
            schedules.apply(service, versions_of_it[number])
        assert len(enabled(server)) <= 1
    server.faults.clear()
    done = schedules.apply(service, versions_of_it[0])
    assert enabled(server) == [done.recurring_run_id]
    assert len(server.recurring_runs) == 1
