"""The commands for Kubeflow Pipelines, against its server for tests."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from penstock.errors import PenstockError
from penstock.metadata.store import connect, connection_config
from penstock.runners.kubeflow.server import connecting
from penstock.surfaces.cli.main import penstock as group
from penstock.testing.kubeflow import FakePipelines, Play
from penstock_support.kubeflow_service import HASTY
from penstock_support.kubeflow_specs import GREETING, PLATFORM


@pytest.fixture
def server():
    with FakePipelines(tokens={"t0ken-value"}) as running:
        yield running


@pytest.fixture
def penstock(server, tmp_path, monkeypatch):
    monkeypatch.setattr(connecting, "Patience", lambda: HASTY)
    monkeypatch.setenv("KUBEFLOW_TOKEN", "t0ken-value")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "greeting.yaml").write_text(GREETING)
    (tmp_path / "penstock.toml").write_text(
        f'[profiles.cluster.kubeflow]\nhost = "{server.host}"\ntoken = "${{env:KUBEFLOW_TOKEN}}"\n'
        'experiment = "tests"\nservice_account = "trainer"\n'
        '[profiles.default]\npipeline_root = "x"\n'
    )

    def call(*arguments, code=0):
        done = CliRunner().invoke(group, arguments, obj=None)
        if isinstance(done.exception, PenstockError):
            raise done.exception
        assert done.exit_code == code, done.output
        return done.stdout

    return call


def submitted(penstock, *options):
    return json.loads(penstock("submit", "greeting.yaml", "-p", "n=5", "--json", *options))


def test_submit_prints_the_run_its_page_and_how_to_go_on(penstock, server):
    shown = penstock("submit", "greeting.yaml", "-p", "n=5")
    [run] = server.runs
    assert f"run        {run['run_id']}\n" in shown
    assert f"page       {server.host}/#/runs/details/{run['run_id']}" in shown
    assert f"penstock status {run['run_id']} --watch --profile cluster" in shown
    assert "t0ken-value" not in shown


def test_submit_takes_account_and_experiment_from_the_profile(penstock, server):
    submitted(penstock, "-p", "rate=2", "--run-name", "mine")
    [run] = server.runs
    assert run["runtime_config"]["parameters"] == {"n": 5, "rate": 2.0}
    assert (run["service_account"], run["display_name"]) == ("trainer", "mine")
    experiments = server.state.experiments
    assert experiments[run["experiment_id"]]["display_name"] == "tests"


def test_a_limit_that_no_server_would_know_of_is_refused(penstock, server, tmp_path):
    with (tmp_path / "penstock.toml").open("a") as file:
        file.write("[profiles.cluster.limits.greeting]\nruns_at_once = 1\n")
    with pytest.raises(PenstockError, match="limits how many runs of greeting"):
        penstock("submit", "greeting.yaml", "-p", "n=5")
    assert server.runs == []


PIPELINE = """
from penstock import component, pipeline

@component
def Count(start: int = 1, factor: float = 1.0) -> float:
    return start * factor

@pipeline
def counting(start: int = 1, factor: float = 2.0):
    return Count(start=start, factor=factor)
"""


def test_a_pipeline_is_compiled_for_the_profile_and_its_parameters_are_typed(
    penstock, server, tmp_path
):
    (tmp_path / "mine.py").write_text(PIPELINE)
    config = (tmp_path / "penstock.toml").read_text()
    (tmp_path / "penstock.toml").write_text(
        config.replace('experiment = "tests"', 'experiment = "tests"\nimage = "team/other:1"')
        + '[profiles.cluster]\npipeline_root = "s3://artifacts/runs"\n'
        'metadata = "mysql://penstock@mysql:3306/mlmd"\n'
        "[profiles.cluster.parameters.counting]\nstart = 7\n[pipelines]\n"
        'counting = "mine.py:counting"\n'
    )
    image = f"team/image@sha256:{'0' * 64}"
    penstock("submit", "counting", "-p", "factor=3", "--profile", "cluster", "--image", image)
    [run] = server.runs
    [version] = server.state.versions.values()
    declared = version["pipeline_spec"]["pipeline_spec"]["root"]["inputDefinitions"]["parameters"]
    assert declared["start"]["defaultValue"] == 7
    assert run["runtime_config"]["parameters"] == {"factor": 3.0}
    executors = version["pipeline_spec"]["pipeline_spec"]["deploymentSpec"]["executors"]
    assert [executor["container"]["image"] for executor in executors.values()] == [image]
    penstock("status", "latest", "--watch", "--profile", "cluster")
    assert penstock("logs", "latest", "Count", "--profile", "cluster") == "count says hello\n"


def test_runs_and_schedules_have_the_root_that_was_compiled(penstock, server, tmp_path):
    compiled = tmp_path / "greeting.yaml"
    compiled.write_text(f"defaultPipelineRoot: s3://bucket/path\n{compiled.read_text()}")
    submitted(penstock)
    penstock("schedule", "greeting.yaml", "--every", "1h", "-p", "n=1")
    for asked in (server.runs[0], server.recurring_runs[0]):
        assert asked["runtime_config"]["pipeline_root"] == "s3://bucket/path"


def test_the_same_submission_is_not_a_second_run(penstock, server):
    first = submitted(penstock, "--submission", "build-17")
    second = submitted(penstock, "--submission", "build-17")
    assert (first["run_id"], first["found"]) == (second["run_id"], False)
    assert second["found"]
    assert len(server.runs) == 1


def test_without_cache_the_run_has_a_specification_of_its_own(penstock, server):
    submitted(penstock, "--no-cache")
    [run] = server.runs
    assert run["pipeline_spec"]["root"]["dag"]["tasks"]["first"]["cachingOptions"] == {}
    assert len(server.state.versions) == 1


def test_waiting_ends_with_the_run_s_exit_code(penstock, server):
    assert "succeeded" in penstock("submit", "greeting.yaml", "-p", "n=5", "--wait")
    server.set_play(Play(fails="second"))
    shown = json.loads(penstock("submit", "greeting.yaml", "-p", "n=5", "--wait", "--json", code=1))
    assert [n["state"] for n in shown["nodes"]] == ["SUCCEEDED", "FAILED"]


def test_status_shows_nodes_and_its_exit_code_says_how_it_ended(penstock, server):
    server.set_play(Play(fails="first"))
    submitted(penstock)
    assert "▶ First   running" in penstock("status", "latest", "--profile", "cluster")
    shown = penstock("status", "latest", code=1)
    assert "✘ First   failed" in shown
    assert "Second  skipped" in shown


def test_cancel_says_when_there_was_nothing_to_cancel(penstock, server):
    server.set_play(Play(hold=True))
    submitted(penstock)
    assert penstock("cancel", "latest").startswith("canceled")
    assert "nothing to cancel" in penstock("cancel", "latest")


def test_logs_of_a_run_on_the_server(penstock, server):
    server.set_play(Play(messages={"first": "hello\n"}))
    submitted(penstock, "--wait")
    assert penstock("logs", "latest", "First", "--profile", "cluster") == "hello\n"
    assert penstock("logs", "latest", "First", "-f", "--profile", "cluster") == "hello\n"


def test_schedule_is_told_in_words_and_the_same_again_is_nothing_new(penstock, server):
    shown = penstock("schedule", "greeting.yaml", "-p", "n=5", "--cron", "0 6 * * 1-5")
    assert "schedule   greeting (new)" in shown
    assert shown.count("06:00:00 UTC") == 3
    again = penstock("schedule", "greeting.yaml", "-p", "n=5", "--cron", "0 6 * * 1-5")
    assert "schedule   greeting (as it was)" in again
    [made] = server.recurring_runs
    assert made["trigger"] == {"cron_schedule": {"cron": "0 0 6 * * 1-5"}}
    assert made["no_catchup"] is True


def test_a_changed_pipeline_moves_the_schedule(penstock, server, tmp_path):
    penstock("schedule", "greeting.yaml", "-p", "n=5", "--every", "6h", "--name", "four-a-day")
    (tmp_path / "greeting.yaml").write_text(GREETING + PLATFORM)
    shown = penstock(
        "schedule", "greeting.yaml", "-p", "n=5", "--every", "6h", "--name", "four-a-day"
    )
    assert "takes the place of what was scheduled before" in shown
    listed = penstock("schedule", "--list")
    assert listed.startswith("four-a-day  enabled   every 21600 s  version ")
    assert len(listed.splitlines()) == 1


def test_a_schedule_is_disabled_enabled_and_deleted_by_its_name(penstock, server):
    penstock("schedule", "greeting.yaml", "-p", "n=5", "--every", "1d12h")
    penstock("schedule", "--disable", "greeting")
    assert server.recurring_runs[0]["status"] == "DISABLED"
    penstock("schedule", "--enable", "greeting")
    assert server.recurring_runs[0]["status"] == "ENABLED"
    penstock("schedule", "--delete", "greeting")
    assert server.recurring_runs == []


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("--every", "6"), "expected an interval as 30m, 6h, 1d or 1d12h, got '6'"),
        (("--cron", "0 9 * *"), "expected 5 or 6 fields of cron, got 4"),
        ((), "expected either --cron or --every"),
        (("--every", "1h", "--start", "soon"), "expected a time as 2026-05-01"),
        (
            ("--every", "1h", "--start", "2026-05-02", "--end", "2026-05-01"),
            "--end 2026-05-01 is not after --start 2026-05-02",
        ),
    ],
)
def test_a_schedule_that_is_none_is_refused(penstock, arguments, text):
    with pytest.raises(PenstockError) as raised:
        penstock("schedule", "greeting.yaml", *arguments)
    assert text in str(raised.value)


def test_a_profile_without_kubeflow_is_told_which_has_it(penstock):
    with pytest.raises(PenstockError, match="has no table `kubeflow`.*--profile cluster"):
        penstock("status", "latest", "--profile", "default")


def test_a_token_that_is_not_set_is_named(penstock, monkeypatch):
    monkeypatch.delenv("KUBEFLOW_TOKEN")
    with pytest.raises(PenstockError, match="KUBEFLOW_TOKEN is not set"):
        penstock("status", "latest")


def test_a_run_that_kubeflow_s_cache_has_done_is_said_to_be_there(penstock, server, tmp_path):
    server.set_play(Play(cached=frozenset({"first", "second"})))
    run_id = submitted(penstock)["run_id"]
    shown = penstock("status", run_id, "--watch")
    assert "All of it came from Kubeflow's cache" in shown
    assert "✔ First   cached   \n" in penstock("status", run_id)
    with (tmp_path / "penstock.toml").open("a") as file:
        file.write('[profiles.cluster]\nmetadata = "sqlite:///store.sqlite"\n')
    penstock_store(tmp_path)
    with pytest.raises(PenstockError, match="the metadata store has nothing of run") as told:
        penstock("show", run_id, "--profile", "cluster")
    assert f"penstock status {run_id} --profile cluster" in str(told.value)


def penstock_store(folder):
    with connect(connection_config(str(folder / "store.sqlite"))):
        pass
