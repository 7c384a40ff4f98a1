"""`penstock apply`: a server for tests is brought to what a profile declares."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from penstock.errors import PenstockError
from penstock.runners.kubeflow.server import connecting
from penstock.surfaces.cli.main import penstock as group
from penstock.testing.kubeflow import FakePipelines, Fault, FaultKind
from penstock_support.kubeflow_service import HASTY
from penstock_support.kubeflow_specs import GREETING

NIGHTLY = """
[profiles.cluster.kubeflow.schedules.nightly]
pipeline = "greeting.yaml"
cron = "0 6 * * *"
experiment = "nights"
parameters = { n = 5 }
"""
HOURLY = """
[profiles.cluster.kubeflow.schedules.hourly]
pipeline = "greeting.yaml"
every = "1h"
enabled = false
parameters = { n = 1 }
"""


@pytest.fixture
def server():
    with FakePipelines() as running:
        yield running


@pytest.fixture
def declare(server, tmp_path, monkeypatch):
    """Write what a profile declares; returns what calls the command."""
    monkeypatch.setattr(connecting, "Patience", lambda: HASTY)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "greeting.yaml").write_text(GREETING)

    def write(*tables, more=""):
        head = f'[profiles.cluster.kubeflow]\nhost = "{server.host}"\n{more}'
        (tmp_path / "penstock.toml").write_text(head + "".join(tables))

    return write


def call(*arguments, answer=None):
    done = CliRunner().invoke(group, arguments, input=answer)
    if isinstance(done.exception, PenstockError):
        raise done.exception
    return done


def applied(*arguments):
    done = call("apply", "--json", *arguments)
    assert done.exit_code == 0, done.output
    return {(c["kind"], c["name"]): c["change"] for c in json.loads(done.stdout)}


def named(server):
    return {r["display_name"]: r["status"] for r in server.recurring_runs}


def test_a_dry_run_says_what_would_be_made_and_makes_nothing(declare, server):
    declare(NIGHTLY, more='experiments = ["research"]\n')
    assert applied("--dry-run") == {
        ("experiment", "research"): "created",
        ("experiment", "nights"): "created",
        ("version", "greeting"): "created",
        ("schedule", "nightly"): "created",
    }
    assert {request.method for request in server.requests} == {"GET"}


def test_what_is_declared_is_made_and_the_same_again_changes_nothing(declare, server):
    declare(NIGHTLY, HOURLY)
    first = applied("--yes")
    assert set(first.values()) == {"created"}
    assert named(server) == {"nightly": "ENABLED", "hourly": "DISABLED"}
    [nightly] = [r for r in server.recurring_runs if r["display_name"] == "nightly"]
    assert nightly["runtime_config"]["parameters"] == {"n": 5}
    asked = len(server.requests)
    assert set(applied("--yes").values()) == {"unchanged"}
    assert {request.method for request in server.requests[asked:]} == {"GET"}


def test_a_schedule_that_is_declared_otherwise_is_changed_in_its_place(declare, server):
    declare(NIGHTLY)
    applied("--yes")
    declare(NIGHTLY.replace("0 6", "0 7"))
    assert applied("--dry-run")["schedule", "nightly"] == "changed"
    assert applied("--yes")["schedule", "nightly"] == "changed"
    [nightly] = server.recurring_runs
    assert nightly["trigger"] == {"cron_schedule": {"cron": "0 0 7 * * *"}}


def test_a_schedule_that_somebody_has_disabled_is_enabled_again(declare, server):
    declare(NIGHTLY)
    applied("--yes")
    call("schedule", "--disable", "nightly")
    assert applied("--dry-run")["schedule", "nightly"] == "changed"
    applied("--yes")
    assert named(server) == {"nightly": "ENABLED"}


def test_a_schedule_that_is_declared_no_longer_is_removed_and_those_of_others_stay(declare, server):
    declare(NIGHTLY, HOURLY)
    applied("--yes")
    call("schedule", "greeting.yaml", "-p", "n=1", "--every", "2h", "--name", "by-hand")
    declare(NIGHTLY)
    assert applied("--yes")["schedule", "hourly"] == "removed"
    assert named(server) == {"nightly": "ENABLED", "by-hand": "ENABLED"}


def test_what_another_project_has_applied_is_not_removed(declare, server):
    declare(HOURLY, more='project = "another"\n')
    applied("--yes")
    declare(NIGHTLY)
    assert ("schedule", "hourly") not in applied("--yes")
    assert set(named(server)) == {"nightly", "hourly"}


def test_it_asks_first_and_does_nothing_when_told_no(declare, server):
    declare(NIGHTLY)
    done = call("apply", answer="n\n")
    assert done.exit_code != 0
    assert "+ schedule nightly" in done.stdout
    assert not server.recurring_runs
    assert call("apply", answer="y\n").exit_code == 0
    assert named(server) == {"nightly": "ENABLED"}


@pytest.mark.parametrize("kind", [FaultKind.DROP_AFTER, FaultKind.STATUS_AFTER, FaultKind.REPEAT])
@pytest.mark.parametrize("path", ["/experiments", "/upload_version", "/recurringruns"])
def test_whatever_goes_wrong_on_the_way_there_is_one_of_each_in_the_end(
    declare, server, kind, path
):
    declare(NIGHTLY)
    server.faults.append(Fault(kind, "POST", path))
    call("apply", "--yes")
    applied("--yes")
    assert named(server) == {"nightly": "ENABLED"}
    assert len(server.state.versions) == 1
    assert set(applied("--dry-run").values()) == {"unchanged"}


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (('cron = "0 6 * * *"', 'cron = "0 6"'), "cron"),
        (('cron = "0 6 * * *"', ""), "expected either cron or every"),
        (("pipeline =", "pipelin ="), "pipelin"),
        (("n = 5", "m = 5"), "the schedule nightly: pipeline greeting has no parameter 'm'"),
    ],
)
def test_what_is_declared_wrong_is_refused_before_anything_is_asked(declare, server, change, told):
    declare(NIGHTLY.replace(*change))
    with pytest.raises(PenstockError, match=told):
        call("apply", "--yes")
    assert not server.requests
