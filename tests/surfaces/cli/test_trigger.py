"""The commands of triggers: what they print, their exit codes, and what runs come of them."""

from __future__ import annotations

import json
import os
import signal

import pytest
import requests
from click.testing import CliRunner

from penstock.errors import PenstockError
from penstock.surfaces.cli.main import penstock as group
from penstock.testing.kubeflow import FakePipelines
from penstock_support import command, metadata_servers, started_project
from penstock_support.processes import Family, wait_until

pytestmark = pytest.mark.core

TRIGGERS = """
[triggers.new_span]
when = { span = "data/span-{SPAN}", quiet = "0s" }
run = "training"
parameters = { span = "{SPAN}" }
[triggers.nightly]
when = { cron = "0 6 * * *" }
run = "other"
profile = "here"
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    started_project.write(tmp_path, TRIGGERS)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def penstock(folder):
    def call(*arguments, code=0):
        done = CliRunner().invoke(group, ("trigger", *arguments))
        if isinstance(done.exception, PenstockError):
            raise done.exception
        assert done.exit_code == code, done.output
        return done.stdout

    return call


def arrive(folder, span):
    path = folder / "data" / f"span-{span}" / "rows.csv"
    path.parent.mkdir(parents=True)
    path.write_text(f"n\n{span}\n")


def test_check_starts_what_is_due_and_waits_for_its_end(penstock, folder):
    arrive(folder, 7)
    shown = penstock("check", "new_span", "--wait")
    assert "running   span 7  run " in shown
    assert "done      span 7  run " in shown
    assert started_project.counts(folder) == ["7"]


def test_check_where_nothing_has_happened_says_so(penstock):
    assert penstock("check") == "nothing to do\n"


def test_check_again_starts_nothing(penstock, folder):
    arrive(folder, 7)
    penstock("check", "--wait")
    assert penstock("check") == "nothing to do\n"


def test_check_as_json_says_what_was_decided_and_why(penstock, folder):
    arrive(folder, 7)
    [looked, _] = json.loads(penstock("check", "--json"))
    assert looked["trigger"] == "new_span"
    [changed] = looked["changed"]
    assert changed["reason"] == "span 7 came"
    assert changed["parameters"] == {"span": "7"}
    assert changed["run"]["where"] == "local"
    penstock("check", "--wait")


def test_check_decides_for_another_time(penstock):
    penstock("check", "nightly", "--now", "2026-05-04T00:00Z")
    shown = json.loads(penstock("check", "nightly", "--now", "2026-05-04T07:00Z", "--json"))
    assert shown[0]["changed"][0]["what"] == "2026-05-04 06:00:00 of cron 0 6 * * *"
    penstock("check", "nightly", "--now", "2026-05-04T07:00Z", "--wait")


def test_a_run_that_fails_is_the_exit_code_of_check_with_wait(penstock, folder):
    (folder / "broken").touch()
    arrive(folder, 7)
    shown = penstock("check", "new_span", "--wait", code=1)
    assert "failed    span 7" in shown
    assert "Trains: " in shown


def test_a_trigger_that_cannot_be_looked_at_does_not_stop_the_others(penstock, folder):
    arrive(folder, "old")
    looked = json.loads(penstock("check", "--json", code=1))
    assert "expected a number for {SPAN}" in looked[0]["problems"][0]
    assert looked[1] == {"trigger": "nightly", "busy": False, "problems": [], "changed": []}


@pytest.mark.parametrize("name", ["check", "watch", "history"])
def test_an_unknown_trigger_is_answered_with_the_nearest(penstock, name):
    with pytest.raises(PenstockError, match=r"no trigger 'new_spam' .*Did you mean 'new_span'\?"):
        penstock(name, "new_spam")


def test_a_time_that_is_none_is_refused(penstock):
    with pytest.raises(PenstockError, match="expected a time as 2026-05-01 .* got 'soon'"):
        penstock("check", "--now", "soon")


def test_list_shows_what_triggers_wait_for_and_did_last(penstock, folder):
    arrive(folder, 7)
    penstock("check", "--wait")
    shown = penstock("list")
    assert "new_span  span data/span-{SPAN}  runs training (here)\n" in shown
    assert "done      span 7  run " in shown
    assert "nightly  cron 0 6 * * *  runs other (here)\n" in shown


def test_list_makes_no_store(penstock, folder):
    penstock("list")
    assert penstock("history") == "nothing has been decided yet\n"
    assert not (folder / "runs").exists()


def test_list_as_json(penstock):
    [first, _] = json.loads(penstock("list", "--json"))
    assert first == {
        "name": "new_span",
        "when": {"span": "data/span-{SPAN}"},
        "run": "training",
        "profile": "here",
        "concurrency": "queue",
        "catch_up": "last",
        "last": None,
    }


def test_history_says_what_did_not_fire_and_why(penstock, folder):
    arrive(folder, 1)
    arrive(folder, 2)
    penstock("check", "--wait")
    newest, older = penstock("history", "new_span").splitlines()
    assert "done      span 2  run " in newest
    assert older.endswith("skipped   span 1  span 2 came after it, and the last one counts")


def test_history_as_json_has_runs_and_their_states(penstock, folder):
    arrive(folder, 1)
    penstock("check", "--wait")
    [record] = json.loads(penstock("history", "--json"))
    assert (record["trigger"], record["key"], record["state"]) == ("new_span", "1", "done")
    assert record["run"]["run_id"].endswith(record["run"]["address"].rpartition("/")[2])


def test_a_project_without_triggers_is_told_how_to_write_one(tmp_path, monkeypatch):
    started_project.write(tmp_path)
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(group, ["trigger", "watch"])
    assert str(done.exception) == (
        "there are no triggers to watch. Write a table [triggers.NAME] into penstock.toml."
    )


@pytest.fixture
def watching(folder):
    families = []

    def start(*options):
        config = str(folder / "penstock.toml")
        arguments = ("--config", config, "trigger", "watch", "--every", "1s", *options)
        families.append(Family(command.__file__, arguments))
        return families[-1].start()

    yield start
    for family in families:
        for process_id in family.alive():
            os.kill(process_id, signal.SIGKILL)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_watch_ends_in_order_and_leaves_runs_alone(watching, folder, number):
    (folder / "waiting").touch()
    arrive(folder, 7)
    process = watching()
    wait_until(lambda: started_project.counts(folder))
    process.send_signal(number)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 0
    assert said.endswith("the watch has ended; runs that were started go on\n")
    (folder / "waiting").unlink()
    wait_until(lambda: '"state": "done"' in _checked(folder))


def _checked(folder):
    config = str(folder / "penstock.toml")
    CliRunner().invoke(group, ["--config", config, "trigger", "check"])
    return CliRunner().invoke(group, ["--config", config, "trigger", "history", "--json"]).stdout


@pytest.mark.needs("starlette", "uvicorn")
def test_watch_receives_events_with_the_token_that_it_prints(watching, folder):
    table = '[triggers.pushed]\nwhen = { event = "com.acme.*" }\nrun = "training"\n'
    started_project.write(folder, table)
    process = watching("--port", "0", "--every", "1h")
    header = process.stdout.readline().strip().partition("Authorization: ")[2]
    address = process.stdout.readline().strip().partition("receiving CloudEvents at ")[2]
    assert process.stdout.readline() == "watching pushed\n"
    event = {"specversion": "1.0", "id": "1", "source": "/lake", "type": "com.acme.arrived"}
    headers = {"Authorization": header, "Content-Type": "application/cloudevents+json"}
    answer = requests.post(address, json.dumps(event), headers=headers, timeout=30)
    assert answer.status_code == 202
    wait_until(lambda: started_project.counts(folder))
    process.terminate()
    process.communicate(timeout=30)
    assert process.returncode == 0


@pytest.mark.needs("starlette", "uvicorn")
@pytest.mark.parametrize(
    ("options", "text"),
    [
        (("--token", "abc"), "--token has a token written down"),
        (("--host", "0.0.0.0"), "without TLS, 0.0.0.0 would be open to whoever listens"),
        (("--host", "0.0.0.0", "--without-tls"), "without a token whoever reaches 0.0.0.0 could"),
        (("--tls-key", "key.pem"), "TLS needs both --tls-certificate and --tls-key"),
        (
            ("--tls-key", "key.pem", "--tls-certificate", "nowhere.pem"),
            "nowhere.pem and key.pem cannot be used for TLS",
        ),
    ],
)
def test_watch_listens_to_nobody_by_mistake(penstock, options, text):
    with pytest.raises(PenstockError, match=text):
        penstock("watch", "--port", "0", *options)


def test_a_trigger_of_a_kubeflow_profile_starts_its_run_there(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = str(tmp_path / "cluster.sqlite")
    with FakePipelines() as server, metadata_servers.serving(path) as store:
        started_project.write(
            tmp_path,
            f"{TRIGGERS}\n".replace('run = "training"', 'run = "training"\nprofile = "cluster"')
            + '[profiles.cluster]\npipeline_root = "s3://bucket/root"\n'
            f'metadata = "grpc://localhost:{store.port}"\n[profiles.cluster.kubeflow]\n'
            f'host = "{server.host}"\nimage = "registry.example/x:1"\n',
        )
        arrive(tmp_path, 7)
        for _ in range(2):
            done = CliRunner().invoke(group, ["trigger", "check", "new_span"])
            assert done.exit_code == 0, done.output
        [run] = server.runs
        assert run["display_name"] == "new_span: span 7"
        assert run["runtime_config"]["parameters"]["span"] == 7
        done = CliRunner().invoke(group, ["trigger", "check", "new_span", "--wait"])
        assert "done      span 7  run " in done.stdout, done.output


def test_a_run_that_failed_earlier_is_not_the_exit_code_of_check(penstock, folder):
    (folder / "broken").touch()
    arrive(folder, 7)
    penstock("check", "new_span", "--wait", code=1)
    assert penstock("check") == "nothing to do\n"


def test_a_run_that_cannot_be_started_is_the_exit_code_of_check(penstock, folder):
    (folder / "training.py").write_text("training = nothing\n")
    arrive(folder, 7)
    shown = penstock("check", "new_span", code=1)
    assert "failed    span 7  span 7 came" in shown
    assert "name 'nothing' is not defined" in shown


def test_watch_says_once_what_stands_in_the_way(watching, folder):
    arrive(folder, "old")
    process = watching("--every", "1s", "new_span")
    process.stderr.readline()
    arrive(folder, "older")
    said = process.stderr.readline()
    process.terminate()
    process.communicate(timeout=30)
    assert "found 'old" in said


def test_two_watchers_start_each_run_once(watching, folder):
    started_project.write(
        folder, TRIGGERS.replace('run = "training"', 'run = "training"\ncatch_up = "all"')
    )
    processes = [watching("new_span"), watching("new_span")]
    for span in (1, 2):
        arrive(folder, span)
    wait_until(lambda: len(_done(folder)) == 2)
    for process in processes:
        process.terminate()
        process.communicate(timeout=30)
    assert started_project.counts(folder) == ["1", "2"]


def _done(folder):
    config = str(folder / "penstock.toml")
    told = CliRunner().invoke(group, ["--config", config, "trigger", "history", "--json"])
    return [r["key"] for r in json.loads(told.stdout or "[]") if r["state"] == "done"]
