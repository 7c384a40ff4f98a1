"""The commands of alerts: what they print, their exit codes, and what they leave in the store."""

from __future__ import annotations

import json
import os
import signal

import pytest
from click.testing import CliRunner

from penstock.errors import ConfigError, ParameterError, PenstockError, StoreError
from penstock.metadata.alerts import alerts
from penstock.metadata.store import connect, connection_config
from penstock.surfaces.cli.main import penstock as group
from penstock_support import command
from penstock_support.judging import judge_series
from penstock_support.processes import Family, wait_until

pytestmark = pytest.mark.core

CONFIG = """
[profiles.default]
metadata = "metadata.sqlite"
[profiles.other]
metadata = "other.sqlite"
[sinks.log]
kind = "file"
path = "alerts.jsonl"
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "penstock.toml").write_text(CONFIG)
    (tmp_path / "below").mkdir()
    monkeypatch.chdir(tmp_path / "below")
    monkeypatch.setenv("PENSTOCK_USER", "ada")
    return tmp_path


@pytest.fixture
def penstock(folder):
    def call(*arguments, code=0):
        done = CliRunner().invoke(group, ("alert", *arguments))
        if isinstance(done.exception, PenstockError):
            raise done.exception
        assert done.exit_code == code, done.output
        return done.output

    return call


@pytest.fixture
def store(folder):
    with connect(connection_config(str(folder / "metadata.sqlite"))) as metadata:
        yield metadata.store


def lines(folder):
    path = folder / "alerts.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def test_an_alert_that_is_raised_by_hand_is_one_for_triggers(penstock, store):
    shown = penstock(
        *("raise", "flights.source", "--key", "k", "--summary", "no rows", "--severity"),
        *("critical", "--data", "rows=0", "--data", '{"feed": "a"}', "--subject", "airport"),
    )
    assert shown == "raised flights.source k\n"
    [alert] = alerts(store, "flights.source")
    assert (alert.severity, alert.subjects) == ("critical", ("airport",))
    assert dict(alert.data) == {"rows": 0, "feed": "a", "subjects": ["airport"]}


def test_raising_it_again_changes_nothing(penstock):
    call = ("raise", "a", "--key", "k", "--summary", "s")
    penstock(*call)
    assert penstock(*call) == "there is an alert a k already\n"


@pytest.mark.parametrize(
    ("data", "message"),
    [("rows", "expected NAME=VALUE or a JSON object"), ("{rows", "expected a JSON object, got")],
)
def test_data_that_say_nothing_are_refused(penstock, data, message):
    with pytest.raises(ParameterError, match=message):
        penstock("raise", "a", "--summary", "s", "--data", data)


def test_list_shows_what_is_open_the_newest_first(penstock, store):
    judge_series(store, "af")
    judge_series(store, "a", first=2)
    penstock("raise", "taxi.source", "--key", "k", "--summary", "no\nrows")
    first, second = penstock("list").splitlines()
    assert first.split()[2:] == ["warning", "open", "taxi.source", "k", "no", "rows"]
    assert "flights.drift 2026-05-04T02:00Z  drift of x: js is 0.21" in second
    assert len(penstock("list", "flights.*", "--all").splitlines()) == 2
    [_, over] = json.loads(penstock("list", "flights.*", "--all", "--json"))
    assert (over["state"], over["end"]["why"]) == ("over", "it is fine again")


def test_list_where_there_is_nothing_says_so(penstock, store):
    assert penstock("list") == "no open alerts\n"
    assert penstock("list", "--all") == "no alerts\n"


def test_show_has_what_was_measured_who_was_told_and_the_end(penstock, store):
    judge_series(store, "a")
    penstock("deliver")
    penstock("resolve", "flights.drift", "--why", "it is mended")
    shown = penstock("show", "flights.drift")
    assert "measured    x js: 0.21, limit 0.1" in shown
    assert " by ada: it is mended" in shown
    assert "told        log: raised  " in shown
    content = json.loads(penstock("show", "flights.drift", "2026-05-04T00:00Z", "--json"))
    assert content["told"][0]["state"] == "done"


def test_an_alert_that_is_not_there_is_named_with_those_that_are(penstock, store):
    judge_series(store, "a")
    with pytest.raises(StoreError, match="no alert 'flights.drfit'. Did you mean 'flights.drift'"):
        penstock("show", "flights.drfit")
    with pytest.raises(StoreError, match="no alert flights.drift of the key 'k'. Choose from"):
        penstock("show", "flights.drift", "k")


def test_resolve_ends_what_is_open_once(penstock, store):
    judge_series(store, "a")
    assert penstock("resolve", "flights.drift") == "resolved flights.drift 2026-05-04T00:00Z\n"
    shown = penstock("resolve", "flights.drift", "2026-05-04T00:00Z")
    assert shown == "flights.drift 2026-05-04T00:00Z was over already\n"
    with pytest.raises(StoreError, match="there is no open alert 'flights.drift'. See"):
        penstock("resolve", "flights.drift")


def test_deliver_tells_once_and_says_where_there_is_nothing(penstock, store, folder):
    judge_series(store, "a")
    assert "log  [warning] flights.drift: drift of x" in penstock("deliver")
    assert penstock("deliver") == "nothing to tell\n"
    assert [line["alerts"][0]["name"] for line in lines(folder)] == ["flights.drift"]


def test_deliver_fails_where_a_sink_does_not_take_it_and_tries_it_again(penstock, store, folder):
    judge_series(store, "a")
    (folder / "alerts.jsonl").mkdir()
    shown = penstock("deliver", code=1)
    assert "alerts.jsonl: Is a directory, again at " in shown
    assert "log  1 to be told later" in shown
    [delivery] = json.loads(penstock("deliver", "--json", code=1))
    assert (delivery["waiting"], delivery["taken"]) == (1, [])


def test_a_silenced_alert_is_listed_and_not_told(penstock, store, folder):
    shown = penstock("silence", "flights.*", "--for", "2h", "--why", "a strike")
    assert "silence 1 holds until " in shown
    assert "no alert has matched 'flights.*' so far" in shown
    judge_series(store, "a")
    assert penstock("deliver") == "nothing to tell\n"
    assert penstock("list").endswith("(silence 1)\n")
    assert "by ada: a strike" in penstock("show", "flights.drift")
    assert "flights.* until " in penstock("silences")
    assert penstock("unsilence", "1") == "silence 1 of flights.* holds no more\n"
    assert penstock("silences") == "no silences\n"
    [ended] = json.loads(penstock("silences", "--all", "--json"))
    assert (ended["holds"], ended["ended_by"]) == (False, "ada")
    penstock("deliver")
    assert len(lines(folder)) == 1


def test_a_silence_has_a_reason_and_ends_once(penstock, store):
    with pytest.raises(ParameterError, match="expected a reason for the silence, got none"):
        penstock("silence", "a", "--for", "1h", "--why", " ")
    with pytest.raises(StoreError, match="there is no silence 7. See"):
        penstock("unsilence", "7")
    penstock("silence", "a", "--for", "1h", "--why", "x")
    penstock("unsilence", "1")
    with pytest.raises(StoreError, match="silence 1 has ended at "):
        penstock("unsilence", "1")


def test_test_sends_what_is_recorded_nowhere(penstock, folder):
    assert penstock("test", "log") == "log has taken it\n"
    [line] = lines(folder)
    assert line["alerts"][0]["name"] == "penstock.test"
    assert not (folder / "metadata.sqlite").exists()


def test_test_fails_where_the_sink_does_not_take_it(penstock, folder):
    (folder / "alerts.jsonl").mkdir()
    assert "log: " in penstock("test", "log", code=1)


def test_a_sink_that_is_not_there_is_named(penstock, folder):
    with pytest.raises(ConfigError, match="there is no sink 'lgo'.*Did you mean 'log'"):
        penstock("deliver", "lgo")
    (folder / "penstock.toml").write_text("")
    with pytest.raises(ConfigError, match=r"there are no sinks to tell.*\[sinks.NAME\]"):
        penstock("deliver")


def test_a_profile_has_alerts_of_its_own(penstock, folder):
    penstock("raise", "a", "--key", "k", "--summary", "s", "--profile", "other")
    assert " a k  s" in penstock("list", "--profile", "other")


def test_watch_tells_what_comes_until_it_is_told_to_end(penstock, store, folder):
    family = Family(command.__file__, ("alert", "watch", "--every", "1s"))
    process = family.start()
    assert process.stdout.readline() == "telling log\n"
    judge_series(store, "a")
    wait_until(lambda: lines(folder))
    os.kill(process.pid, signal.SIGTERM)
    shown, said = process.communicate(timeout=30)
    assert (process.returncode, said) == (0, "the watch has ended\n")
    assert "log  [warning] flights.drift: drift of x" in shown


def test_watch_goes_on_where_there_is_no_store_yet(penstock, folder):
    family = Family(command.__file__, ("alert", "watch", "--every", "1s"))
    process = family.start()
    assert "metadata.sqlite" in process.stderr.readline()
    penstock("raise", "a", "--key", "k", "--summary", "s")
    wait_until(lambda: lines(folder))
    os.kill(process.pid, signal.SIGINT)
    process.communicate(timeout=30)
    assert process.returncode == 0
