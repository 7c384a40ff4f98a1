"""Looking at a trigger: what is written and started, and what is taken up from others."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from penstock.errors import BusyError, DataError, ServiceError
from penstock.metadata import journal
from penstock.metadata.alerts import (
    Addition,
    Alert,
    End,
    add_to_alert,
    raise_alert,
    resolve_alert,
)
from penstock.metadata.leases import held
from penstock.metadata.store import connect, connection_config
from penstock.operations.starting import RunState
from penstock.operations.triggers.checking import MOST_TRIES
from penstock.testing.kubeflow import FakePipelines
from penstock_support import resuming_components as resuming
from penstock_support import triggers as project
from penstock_support.kubeflow_service import await_end, begin_greeting
from penstock_support.triggers import (
    NOW,
    SPANS,
    arrive,
    check,
    end_runs,
    records,
    starter_in,
    states,
    trained,
)


@pytest.fixture
def folder(tmp_path):
    project.write(tmp_path)
    return tmp_path


def store_of(folder, name="metadata.sqlite"):
    return connect(connection_config(str(folder / name)))


def test_a_span_that_has_arrived_starts_a_run(folder):
    arrive(folder, 1)
    check(folder)
    [token] = starter_in(folder).started
    request = starter_in(folder).request(token)
    assert (request.pipeline, request.profile, request.parameters) == (
        "flights",
        "default",
        {"span": "1"},
    )
    assert request.name == "t: span 1"


def test_its_record_says_what_came_and_what_was_started(folder):
    arrive(folder, 1)
    check(folder)
    record = records(folder)["1"]
    assert (record.state, record.reason) == ("running", "span 1 came")
    assert record.run["run_id"] == record.token == starter_in(folder).started[0]


def test_how_a_run_ends_is_recorded(folder):
    arrive(folder, 1)
    check(folder)
    end_runs(folder, RunState.FAILED)
    check(folder)
    assert states(folder) == {"1": "failed"}


def test_a_run_that_has_failed_is_not_started_again(folder):
    arrive(folder, 1)
    check(folder)
    end_runs(folder, RunState.FAILED)
    check(folder)
    check(folder)
    assert trained(folder) == ["1"]


def test_spans_that_arrive_while_a_run_is_under_way_wait(folder):
    arrive(folder, 1)
    check(folder)
    arrive(folder, 2, 3)
    check(folder)
    assert states(folder) == {"1": "running", "2": "skipped", "3": "waiting"}
    end_runs(folder)
    check(folder)
    assert trained(folder) == ["1", "3"]


def test_looking_again_where_nothing_has_happened_writes_nothing(folder):
    arrive(folder, 1)
    check(folder)
    arrive(folder, 2)
    check(folder)
    with store_of(folder) as metadata:
        before = metadata.store.get_contexts()
        assert check(folder).changed == ()
        assert metadata.store.get_contexts() == before


def test_a_run_that_is_replaced_ends_first(folder):
    project.write(folder, f'{SPANS}\nconcurrency = "replace"')
    arrive(folder, 1)
    check(folder)
    arrive(folder, 2)
    check(folder)
    assert trained(folder) == ["1"]
    check(folder)
    assert states(folder) == {"1": "canceled", "2": "running"}
    assert trained(folder) == ["1", "2"]


def test_files_that_were_just_written_to_have_not_arrived(folder):
    arrive(folder, 1, at=NOW - timedelta(seconds=5))
    check(folder)
    assert states(folder) == {}
    check(folder, NOW + timedelta(seconds=5))
    assert trained(folder) == ["1"]


def test_an_empty_folder_is_no_span(folder):
    (folder / "data" / "span-1").mkdir(parents=True)
    check(folder)
    assert states(folder) == {}


def test_a_new_version_of_an_old_span_starts_a_run(folder):
    when = 'when = { span = "data/{SPAN}/v{VERSION}/*.csv" }\n'
    project.write(folder, f'{when}parameters = {{ span = "{{SPAN}}.{{VERSION}}" }}')

    def put(span, version):
        path = folder / f"data/{span}/v{version}/a.csv"
        path.parent.mkdir(parents=True)
        path.write_text("n\n")

    later = datetime.now(UTC) + timedelta(minutes=1)
    for span, version in ((1, 1), (2, 1), (1, 2)):
        put(span, version)
        check(folder, later)
        end_runs(folder)
        check(folder, later)
    assert trained(folder) == ["1.1", "2.1", "1.2"]


def test_a_date_is_a_span_and_has_a_day(folder):
    table = 'when = { span = "data/{YYYY}-{MM}-{DD}.csv" }\nparameters = { span = "{SPAN} {DATE}" }'
    project.write(folder, table)
    (folder / "data").mkdir()
    (folder / "data" / "2026-05-03.csv").write_text("n\n")
    check(folder, datetime.now(UTC) + timedelta(minutes=1))
    assert trained(folder) == ["20576 2026-05-03"]


def test_altered_files_start_a_run_where_the_fingerprint_tells_them_apart(folder):
    project.write(folder, f'{SPANS}\ndeduplicate = "{{SPAN}} {{FINGERPRINT}}"')
    arrive(folder, 1)
    check(folder)
    end_runs(folder)
    arrive(folder, 1, at=NOW - timedelta(minutes=1))
    check(folder)
    assert trained(folder) == ["1", "1"]


def test_a_name_that_is_no_number_is_an_error_with_its_place(folder):
    arrive(folder, "old")
    with pytest.raises(DataError, match=r"^expected a number for \{SPAN\} of the pattern 'data/"):
        check(folder)


def test_a_server_without_an_answer_is_asked_again_under_the_same_token(folder):
    arrive(folder, 1)
    looked = check(folder, starter=starter_in(folder, unanswered=1))
    assert looked.problems[0].startswith("there is no answer for run")
    assert states(folder) == {"1": "intended"}
    check(folder)
    assert (states(folder), trained(folder)) == ({"1": "running"}, ["1"])


class Refusing:
    """Starts nothing."""

    def __init__(self, error):
        self.error = error

    def start(self, request, token):
        raise self.error

    def read(self, request, token):
        return None

    def cancel(self, request, token):
        pass


def test_a_refusal_is_recorded_and_nothing_is_tried_again(folder):
    arrive(folder, 1)
    check(folder, starter=Refusing(ServiceError("the server refuses", status=403)))
    record = records(folder)["1"]
    assert (record.state, record.error) == ("failed", "the server refuses.")


def test_a_server_that_may_be_back_is_asked_again(folder):
    arrive(folder, 1)
    check(folder, starter=Refusing(ServiceError("it restarts", transient=True)))
    assert records(folder)["1"].problem == "it restarts."
    check(folder)
    assert trained(folder) == ["1"]


def test_a_run_that_cannot_begin_yet_is_started_when_it_can(folder):
    arrive(folder, 1)
    check(folder, starter=Refusing(BusyError("run a is under way", transient=True)))
    assert (states(folder), records(folder)["1"].problem) == (
        {"1": "intended"},
        "run a is under way.",
    )
    check(folder)
    assert states(folder) == {"1": "running"}


def test_a_run_that_was_to_end_before_it_could_begin_ends_when_it_has_begun(folder):
    project.write(folder, f'{SPANS}\nconcurrency = "replace"')
    busy = Refusing(BusyError("run a is under way", transient=True))
    arrive(folder, 1)
    check(folder, starter=busy)
    arrive(folder, 2)
    check(folder, starter=busy)
    assert records(folder)["1"].ending == "2"
    check(folder)
    check(folder)
    assert states(folder) == {"1": "canceled", "2": "running"}


def test_a_run_whose_process_has_died_is_gone_on_with(folder):
    arrive(folder, 1)
    check(folder)
    [token] = starter_in(folder).started
    starter_in(folder).end(token, RunState.LOST)
    check(folder)
    assert starter_in(folder).runs()[token].tries == 2
    assert states(folder) == {"1": "running"}


def test_a_run_whose_processes_die_again_and_again_has_failed(folder):
    arrive(folder, 1)
    check(folder)
    [token] = starter_in(folder).started
    for _ in range(MOST_TRIES):
        starter_in(folder).end(token, RunState.LOST)
        check(folder)
    record = records(folder)["1"]
    assert (record.state, record.error) == ("failed", f"its process has died {MOST_TRIES} times")


def test_a_run_that_nobody_knows_any_more_has_failed(folder):
    arrive(folder, 1)
    check(folder)
    [token] = starter_in(folder).started
    (folder / "started" / f"{token}.json").unlink()
    check(folder)
    assert records(folder)["1"].error == f"run {token} is gone"


def test_where_another_process_decides_nothing_is_done(folder):
    arrive(folder, 1)
    connection = connection_config(str(folder / "metadata.sqlite"))
    with connect(connection) as metadata, held(metadata.store, connection, "trigger t"):
        assert check(folder).busy
    assert states(folder) == {}


CRON = 'when = { cron = "0 6 * * *" }\nparameters = { span = "{DATE}" }'


def test_a_time_that_has_come_starts_a_run(folder):
    project.write(folder, CRON)
    check(folder)
    assert states(folder) == {}
    check(folder, NOW + timedelta(hours=18))
    assert trained(folder) == ["2026-05-05"]


@pytest.mark.parametrize(
    ("catch_up", "expected"),
    [
        ("none", []),
        ("last", ["2026-05-07"]),
        ("all", ["2026-05-05", "2026-05-06", "2026-05-07"]),
    ],
)
def test_times_that_nobody_looked_at_are_caught_up_with(folder, catch_up, expected):
    project.write(folder, f'{CRON}\ncatch_up = "{catch_up}"')
    check(folder)
    later = NOW + timedelta(days=3)
    for _ in range(5):
        check(folder, later)
        end_runs(folder)
    assert trained(folder) == expected


def test_a_new_line_of_cron_counts_from_when_it_was_first_looked_at(folder):
    project.write(folder, CRON)
    check(folder)
    project.write(folder, CRON.replace("0 6", "0 7"))
    check(folder, NOW + timedelta(days=1))
    assert states(folder) == {}


def test_the_clock_on_the_wall_counts(folder):
    zoned = 'when = { cron = "30 2 * * *", timezone = "Europe/Zurich" }\n'
    project.write(folder, f'{zoned}parameters = {{ span = "{{TIME}}" }}\ncatch_up = "all"')
    start = datetime(2026, 3, 28, 12, tzinfo=UTC)
    check(folder, start)
    for hours in range(0, 72, 4):
        check(folder, start + timedelta(hours=hours))
        end_runs(folder)
    # Of the 29th, half past two is left out.
    assert trained(folder) == [
        "2026-03-29T03:30:00+02:00",
        "2026-03-30T02:30:00+02:00",
        "2026-03-31T02:30:00+02:00",
    ]


UPSTREAM = 'when = { upstream = "three" }\nparameters = { span = "{data.rows} {PIPELINE}" }'


def ingest(folder, definition=resuming.three, store="metadata.sqlite", **parameters):
    runner = resuming.runner_in(folder, metadata=str(folder / store))
    parameters["folder"] = str(folder)
    return runner.run(definition, parameters=parameters, raise_on_failure=False).run_id


def test_a_run_of_an_upstream_pipeline_that_has_succeeded_starts_one(folder):
    project.write(folder, UPSTREAM)
    run_id = ingest(folder, rows=5)
    check(folder)
    assert trained(folder) == ["5 three"]
    assert records(folder)[run_id].reason == f"run {run_id} of three came"


def test_neither_failed_runs_nor_those_of_others_start_one(folder):
    project.write(folder, UPSTREAM)
    (folder / "broken").touch()
    ingest(folder)
    ingest(folder, resuming.other)
    check(folder)
    assert states(folder) == {}


def test_an_upstream_run_may_be_in_another_profile_s_store(folder):
    project.write(folder, UPSTREAM.replace('three" }', 'three", profile = "other" }'))
    ingest(folder, rows=5, store="other.sqlite")
    check(folder)
    assert trained(folder) == ["5 three"]


def test_an_upstream_run_may_be_on_kubeflow(folder):
    with FakePipelines() as server:
        service, run_id = begin_greeting(server.host)
        more = f'[profiles.cluster.kubeflow]\nhost = "{server.host}"\n'
        project.write(
            folder,
            'when = { upstream = "greeting", profile = "cluster" }\n'
            f'parameters = {{ span = "{{data.n}} {{RUN}}" }}\n{more}',
        )
        check(folder)
        assert trained(folder) == []
        await_end(service, run_id)
        check(folder)
        assert trained(folder) == [f"5 {run_id}"]


def raised(folder, key, name="metadata.sqlite", at=NOW, **data):
    alert = Alert("flights.drift", key, "dep_delay has drifted", at, "warning", data)
    with store_of(folder, name) as metadata:
        return raise_alert(metadata.store, alert, who="monitor")


ALERT = 'when = { alert = "flights.drift" }\nparameters = { span = "{data.window}" }'


def test_an_alert_starts_a_run(folder):
    project.write(folder, ALERT)
    raised(folder, "w1", window=1)
    check(folder)
    assert trained(folder) == ["1"]
    assert records(folder)["w1"].reason == "alert flights.drift: dep_delay has drifted came"


def test_an_alert_is_raised_once(folder):
    assert [raised(folder, "w1"), raised(folder, "w1")] == [True, False]


def test_what_is_added_to_an_alert_and_its_end_start_no_other_run(folder):
    project.write(folder, ALERT)
    raised(folder, "w1", window=1)
    looking = project.watched(folder)
    looking.check(NOW)
    end_runs(folder)
    with connect(looking.connection) as metadata:
        add_to_alert(metadata.store, "flights.drift", "w1", Addition(NOW, ("distance",)))
        resolve_alert(metadata.store, "flights.drift", "w1", End(NOW, "monitor"))
    looking.check(NOW + timedelta(minutes=1))
    check(folder, NOW + timedelta(minutes=2))
    assert trained(folder) == ["1"]


def test_an_alert_of_another_name_starts_none(folder):
    project.write(folder, ALERT.replace("flights.drift", "flights.skew"))
    raised(folder, "w1", window=1)
    check(folder)
    assert states(folder) == {}


def test_an_alert_may_be_in_another_profile_s_store(folder):
    project.write(folder, ALERT.replace('drift"', 'drift", profile = "other"'))
    raised(folder, "w1", "other.sqlite", window=1)
    check(folder)
    assert trained(folder) == ["1"]


def test_what_a_parameter_needs_and_did_not_come_is_why_no_run_starts(folder):
    project.write(folder, ALERT)
    raised(folder, "w1")
    check(folder)
    record = records(folder)["w1"]
    assert record.state == "skipped"
    assert record.reason == "'{data.window}' refers to {data.window}, which did not come with it"


def test_a_watcher_that_goes_on_sees_what_others_have_written(folder):
    project.write(folder, f"{ALERT}\ncool_down_hours = 1")
    looking = project.watched(folder)
    raised(folder, "w1", window=1)
    looking.check(NOW)
    end_runs(folder)
    raised(folder, "w2", window=2)
    check(folder, NOW + timedelta(hours=2))
    assert looking.check(NOW + timedelta(hours=2)).changed == ()
    assert trained(folder) == ["1", "2"]


def test_what_is_recorded_is_json(folder):
    arrive(folder, 1)
    check(folder)
    with store_of(folder) as metadata:
        [entry] = journal.entries(metadata.store, "trigger/t")
    assert json.loads(json.dumps(dict(entry.intent)))["evidence"]["what"] == "span 1"
