"""Releases are carried out step by step, and whatever stands in the way changes nothing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from penstock import registry
from penstock.errors import RegistryError, RunError
from penstock.metadata import journal
from penstock.metadata.alerts import Alert, raise_alert
from penstock.metadata.leases import Lease
from penstock.metadata.rows import MalformedRowError
from penstock.metadata.store import connect
from penstock.metadata.turns import Held, Turn, latest
from penstock.operations.releases import records
from penstock.operations.releases.controlling import look
from penstock.operations.releases.records import ABORT, PAUSE, PROMOTE, RESUME
from penstock.operations.releases.stages import plan_of
from penstock.operations.releases.targets.protocol import FAILED, LOADING
from penstock_support import releases as project
from penstock_support.releases import (
    HOUR,
    STAGES,
    aliases,
    answers,
    ask,
    brought_to_its_end,
    looked,
    moves,
    seen,
    start,
    target_in,
)

GOOD = [
    "prepare 2",
    "shift 1 2 100%",
    "shift 1 2 5%",
    "shift 1 2 50%",
    "shift 2",
    "remove 1",
]
BACK_FROM_SHADOW = ["prepare 2", "shift 1 2 100%", "shift 1", "remove 2"]


@pytest.fixture
def folder(tmp_path):
    project.write(tmp_path)
    return tmp_path


@pytest.fixture
def good(folder):
    """A project whose new version does as well as the one that serves."""
    target_in(folder).see(seen())
    return folder


def test_a_good_version_goes_through_all_stages_and_the_alias_comes_after(good):
    start(good)
    release = brought_to_its_end(good)
    assert (release.state, aliases(good)["champion"]) == (records.PROMOTED, 2)
    assert target_in(good).asked == GOOD


def test_the_alias_says_by_which_release_it_was_moved_and_on_which_gates(good):
    start(good)
    brought_to_its_end(good)
    evidence = moves(good)[-1].evidence
    assert evidence["release"] == 1
    assert {gate["state"] for gate in evidence["gates"]} == {"holds"}


@pytest.mark.parametrize(
    ("new", "gate"),
    [
        (answers(errors=2000), "errors"),
        (answers(seconds=0.1), "latency"),
        (answers(turned=True), "drift"),
    ],
    ids=["errors", "slow", "drifting"],
)
def test_a_bad_version_is_rolled_back_at_the_first_look(folder, new, gate):
    target_in(folder).see(seen(new))
    start(folder)
    release = looked(folder).release
    assert (release.state, aliases(folder)["champion"]) == (records.ROLLED_BACK, 1)
    assert release.reason.startswith(f"{gate}: ")
    assert target_in(folder).asked == BACK_FROM_SHADOW


def test_a_stage_lasts_as_long_as_it_should(good):
    start(good)
    now = datetime.now(UTC)
    looked(good, now)
    assert looked(good, now + timedelta(seconds=599)).release.status == "shadow 100%"
    assert looked(good, now + timedelta(seconds=600)).release.status == "canary 5%"


def test_without_evidence_nothing_is_promoted_and_a_day_later_it_is_ended(folder):
    start(folder)
    now = datetime.now(UTC)
    looked(folder, now)
    came = looked(folder, now + 23 * HOUR)
    assert came.release.status == "shadow 100%"
    assert came.waits_for.startswith("enough evidence: errors: 0 requests of the new version")
    release = looked(folder, now + 25 * HOUR).release
    assert release.state == records.FAILED_RELEASE
    assert release.reason.startswith("not enough evidence after 1.04 d")
    assert aliases(folder)["champion"] == 1


def test_evidence_of_other_routes_counts_for_nothing(good):
    target = target_in(good)

    class Stale(type(target)):
        def evidence(self):
            from dataclasses import replace

            return replace(super().evidence(), token="of before")

    start(good)
    now = datetime.now(UTC)
    stale = Stale(target.folder)
    looked(good, now, target=stale)
    assert looked(good, now + HOUR, target=stale).waits_for.startswith("enough evidence")


def test_a_target_that_is_away_is_waited_for(good):
    start(good)
    target_in(good).away()
    came = looked(good)
    assert came.waits_for == "the target does not answer."
    assert came.release.pending.kind == records.PREPARE
    target_in(good).away(False)
    assert brought_to_its_end(good).state == records.PROMOTED


def test_looking_again_writes_nothing_while_it_waits(good):
    start(good)
    now = datetime.now(UTC)
    before = len(looked(good, now).release.steps)
    assert looked(good, now).written == ()
    assert len(looked(good, now).release.steps) == before


def test_a_version_that_loads_is_waited_for_and_may_be_ended_meanwhile(good):
    target_in(good).load(2, LOADING)
    start(good)
    assert looked(good).waits_for == "version 2 is loading"
    ask(good, ABORT, "not today")
    release = looked(good).release
    assert (release.state, release.reason) == (records.ABORTED, "not today")
    assert target_in(good).asked[-1] == "remove 2"


def test_a_version_that_does_not_load_ends_the_release_with_the_reason(good):
    target_in(good).load(2, FAILED, "its warm-up failed")
    start(good)
    release = looked(good).release
    assert release.state == records.FAILED_RELEASE
    assert "its warm-up failed" in release.reason
    assert not any(asked.startswith("shift") for asked in target_in(good).asked)


def test_paused_it_stays_but_an_alarm_rolls_it_back(good):
    start(good)
    now = datetime.now(UTC)
    looked(good, now)
    ask(good, PAUSE, "on holiday")
    assert looked(good, now + 2 * HOUR).waits_for == "somebody to resume it: it is paused"
    target_in(good).see(seen(answers(errors=3000)))
    assert looked(good, now + 2 * HOUR).release.state == records.ROLLED_BACK


def test_resumed_it_goes_on(good):
    start(good)
    now = datetime.now(UTC)
    looked(good, now)
    ask(good, PAUSE)
    ask(good, RESUME)
    assert looked(good, now + HOUR).release.status == "canary 5%"


def test_somebody_promotes_it_before_its_time_and_that_is_on_record(good):
    start(good)
    looked(good)
    ask(good, PROMOTE, "we are sure")
    release = looked(good).release
    assert release.state == records.PROMOTED
    step = next(s for s in release.steps if s.intent.get("towards") == records.TO_ALL)
    assert (step.who, step.why) == ("bob", "we are sure")
    assert moves(good)[-1].who == "bob"


def test_promoting_does_not_get_past_an_alarm(good):
    start(good)
    looked(good)
    ask(good, PROMOTE, "we are sure")
    target_in(good).see(seen(answers(errors=3000)))
    assert looked(good).release.state == records.ROLLED_BACK


def test_a_plan_that_ends_with_a_shadow_waits_for_a_person(good):
    start(good, plan_of(100, 60, (), 0, key="", give_up_seconds=3600))
    now = datetime.now(UTC)
    looked(good, now)
    came = looked(good, now + 9 * HOUR)
    assert came.waits_for == "somebody to promote or abort it: the shadow has done well"
    assert came.release.last(records.REPORT).outcome["verdict"] == "holds"
    ask(good, PROMOTE)
    assert looked(good, now + 9 * HOUR).release.state == records.PROMOTED


def test_the_report_on_a_shadow_is_an_artifact_with_pictures(good):
    from pathlib import Path

    start(good)
    brought_to_its_end(good)
    report = project.last(good).last(records.REPORT).outcome
    page = Path(report["uri"], "report.html").read_text()
    assert page.count("<svg") > 2
    assert "Predictions, by quantile" in page
    with connect(project.controller_in(good).connection) as metadata:
        [artifact] = metadata.store.get_artifacts_by_type("ShadowReport")
    assert artifact.uri == report["uri"]
    assert artifact.custom_properties["verdict"].string_value == "holds"


def test_an_alarm_in_the_shadow_is_reported_too(folder):
    target_in(folder).see(seen(answers(turned=True)))
    start(folder)
    release = looked(folder).release
    assert release.last(records.REPORT).outcome["verdict"] == "alarm"


def test_routes_that_somebody_else_has_told_the_target_are_left(good):
    start(good)
    looked(good)
    target_in(good).serve(1)
    release = looked(good).release
    assert release.state == records.INTERRUPTED
    assert target_in(good).describe().routes.token == "before"


def test_an_alias_that_was_moved_meanwhile_ends_the_release(tmp_path):
    project.write(tmp_path, versions=3)
    target_in(tmp_path).see(seen())
    start(tmp_path)
    looked(tmp_path)
    with connect(project.controller_in(tmp_path).connection) as metadata:
        registry.move_alias(metadata.store, "m", "champion", 3, who="eve")
    release = looked(tmp_path).release
    assert release.state == records.INTERRUPTED
    assert release.reason == "champion was moved to version 3 meanwhile"
    assert aliases(tmp_path)["champion"] == 3


def test_rolling_back_restores_the_version_and_the_alias(good):
    start(good)
    brought_to_its_end(good)
    project.roll_back(good)
    release = brought_to_its_end(good)
    assert (release.state, aliases(good)["champion"]) == (records.BROUGHT_BACK, 1)
    assert target_in(good).asked[len(GOOD) :] == ["prepare 1", "shift 1", "remove 2"]
    assert (moves(good)[-1].kind, moves(good)[-1].evidence["release"]) == ("rollback", 2)


def test_rolling_back_a_release_under_way_ends_it(good):
    start(good)
    looked(good)
    project.roll_back(good)
    release = looked(good).release
    assert (release.state, release.reason) == (records.ABORTED, "complaints")
    assert target_in(good).describe().routes.production == 1


def test_the_first_version_of_a_model_serves_at_once(tmp_path):
    project.write(tmp_path)
    with connect(project.controller_in(tmp_path).connection) as metadata:
        registry.remove_alias(metadata.store, "m", "champion", who="ann")
    from penstock.testing import FakeTarget

    empty = FakeTarget(tmp_path / "empty")
    start(tmp_path, target=empty)
    release = brought_to_its_end(tmp_path, target=empty)
    assert (release.kind, release.state) == (records.FIRST, records.PROMOTED)
    assert empty.asked == ["prepare 2", "shift 2"]
    assert aliases(tmp_path)["champion"] == 2


def test_a_second_release_is_refused_while_one_is_under_way(good):
    start(good)
    with pytest.raises(RunError, match="release 1 of m is under way: m@2, preparing"):
        start(good)


def test_a_version_that_was_not_blessed_is_not_released(tmp_path):
    project.write(tmp_path, versions=3, blessed=(True, True, False))
    with pytest.raises(RegistryError, match="m@3 is not released: its Evaluator did not bless it"):
        start(tmp_path, reference=3)


def test_what_serves_has_to_be_what_the_alias_stands_for(good):
    target_in(good).serve(2)
    with pytest.raises(RunError, match="champion of m stands for version 1, and version 2 serves"):
        start(good, STAGES)


@pytest.mark.parametrize(
    ("severity", "hours", "state"),
    [("critical", 1, "rolled back"), ("info", 1, ""), ("critical", -1, "")],
)
def test_an_alert_that_is_raised_in_a_stage_is_an_alarm(tmp_path, severity, hours, state):
    project.write(tmp_path, 'gates = { alerts = ["m.drift"] }')
    target_in(tmp_path).see(seen())
    start(tmp_path)
    now = datetime.now(UTC)
    looked(tmp_path, now)
    with connect(project.controller_in(tmp_path).connection) as metadata:
        alert = Alert("m.drift", "k", "age has drifted", now + hours * HOUR, severity)
        raise_alert(metadata.store, alert, who="monitor")
    release = looked(tmp_path, now).release
    assert release.state == state
    assert release.reason == ("m.drift: it was raised: age has drifted" if state else "")


def test_who_has_stood_still_takes_no_step_that_another_has_taken(good):
    start(good)
    other = []

    class Slow(type(target_in(good))):
        """Stands still before the first step, while another process carries the release out."""

        def describe(self):
            if not other:
                other.append(True)
                controller = project.controller_in(good)
                with connect(controller.connection) as metadata:
                    turn = latest(metadata.store, Turn, controller.lease_name)
                    look(controller, metadata.store, Lease(turn))
            return super().describe()

    target = Slow(target_in(good).folder)
    assert looked(good, target=target).release.status == "shadow 100%"
    assert [asked for asked in target.asked if asked.startswith("shift")] == ["shift 1 2 100%"]


def test_two_controllers_cannot_act_at_once(good):
    from penstock.metadata.leases import held

    start(good)
    controller = project.controller_in(good)
    with (
        connect(controller.connection) as metadata,
        held(metadata.store, controller.connection, controller.lease_name),
        pytest.raises(Held, match="releases of m is being run by process"),
    ):
        looked(good)


def test_a_release_whose_entry_says_nothing_is_named_and_not_gone_on_with(good):
    start(good)
    with connect(project.controller_in(good).connection) as metadata:
        entry = journal.last(metadata.store, "release/m")
        [context] = metadata.store.get_contexts_by_id([entry.entry_id])
        context.custom_properties["intent"].string_value = '{"kind": "canary"}'
        metadata.store.put_contexts([context])
        with pytest.raises(MalformedRowError, match="'release/m/1', cannot be read: it lacks"):
            records.last_release(metadata.store, "m")
