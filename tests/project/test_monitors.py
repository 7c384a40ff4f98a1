"""The tables `monitors`: what they say, what they take from a deployment, and what they may not."""

from __future__ import annotations

import pytest

from penstock.errors import ConfigError
from penstock.project.config import Config, read_config
from penstock.project.monitors import FeatureTest, Monitor

pytestmark = pytest.mark.core

DEPLOYMENT = """
[deployments.flights]
model = "delays"
[deployments.flights.log]
folder = "log"
span = "hour"
hashed = ["tail_number"]
truncated = { note = 10 }
"""


def config(tmp_path, text: str) -> Config:
    path = tmp_path / "penstock.toml"
    path.write_text(text)
    return read_config(path)


def read(tmp_path, text: str) -> Monitor:
    return config(tmp_path, text).monitors["flights"]


def test_a_folder_of_a_log_is_all_that_is_needed(tmp_path):
    found = read(tmp_path, '[monitors.flights]\nlog = "log/flights"\n')
    assert (found.log, found.log_span, found.model) == (
        str(tmp_path / "log/flights"),
        "day",
        "flights",
    )


def test_a_log_may_be_in_an_object_store(tmp_path):
    found = read(tmp_path, '[monitors.flights]\nlog = "s3://logs/flights"\n')
    assert (found.log, found.model) == ("s3://logs/flights", "flights")


def test_a_monitor_of_a_deployments_name_is_of_that_deployment(tmp_path):
    found = read(tmp_path, DEPLOYMENT + "[monitors.flights]\n")
    assert (found.log, found.log_span, found.model) == (
        str(tmp_path / "log/delays"),
        "hour",
        "delays",
    )


def test_what_a_log_does_not_keep_as_it_is_is_not_compared(tmp_path):
    found = read(tmp_path, DEPLOYMENT + "[monitors.flights]\n")
    assert found.drift.without == found.quality.without == ("tail_number", "note")


def test_with_the_window_before_what_is_hashed_can_be_compared(tmp_path):
    found = read(tmp_path, DEPLOYMENT + '[monitors.flights]\nbaseline = "previous"\n')
    assert found.drift.without == ()


def test_the_tests_of_features_are_read(tmp_path):
    found = read(
        tmp_path,
        """
        [monitors.flights]
        log = "log/flights"
        [monitors.flights.drift]
        test = "psi"
        features = { distance = { test = "ks", threshold = 0.2 }, "dep_*" = { enabled = false } }
        """,
    )
    assert found.drift.of("distance") == FeatureTest("ks", 0.2)
    assert not found.drift.of("dep_delay").enabled
    assert found.drift.of("carrier") == FeatureTest("psi", 0.2)


def test_labels_and_files_count_from_the_folder_of_the_project(tmp_path):
    found = read(
        tmp_path,
        """
        [monitors.flights]
        log = "log/flights"
        baseline = "reference/*.parquet"
        labels = { source = "labels/{SPAN}/*.csv", label = "late" }
        """,
    )
    assert found.baseline_files == str(tmp_path / "reference/*.parquet")
    assert found.labels.folder == str(tmp_path)


def test_a_version_may_be_the_baseline(tmp_path):
    found = read(tmp_path, '[monitors.flights]\nlog = "log/flights"\nbaseline = "flights@3"\n')
    assert (found.baseline_version, found.baseline_files) == ("flights@3", "")


def test_a_monitor_is_a_pipeline_that_triggers_may_run(tmp_path):
    found = config(
        tmp_path,
        """
        [monitors.flights]
        log = "log/flights"
        [triggers.daily]
        when = { cron = "0 6 * * *" }
        run = "monitor-flights"
        """,
    )
    assert list(found.monitor_pipelines) == ["monitor-flights"]


def test_all_kinds_of_alerts_have_a_rule(tmp_path):
    found = read(
        tmp_path,
        """
        [monitors.flights]
        log = "log/flights"
        [monitors.flights.alerts.drift]
        severity = "critical"
        windows = 3
        """,
    )
    assert (found.alerts["drift"].severity, found.alerts["drift"].windows) == ("critical", 3)
    assert found.alerts["performance"].severity == "critical"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the key 'log' is missing"),
        ('log = "deployments.flihgts"', "there is no deployment 'flihgts'"),
        ('log = "deployments.other"', "the deployment other keeps no log"),
        ('log = "log/x"\nwindow = "5h"', "expected whole days, as the log is written by day"),
        ('log = "log/x"\nwindow = "monthly"', "expected an interval as 30m, 6h, 1d or 1d12h"),
        ('log = "log/x"\nlog_span = "week"', "expected a log_span of hour, day, got 'week'"),
        ('log = "log/x"\nprofile = "cluster"', "there is no profile 'cluster'"),
        ('log = "log/x"\ndrift = { test = "kl" }', "expected a test of js, psi, linf, ks"),
        ('log = "log/x"\nlabels = { source = "*.csv" }', "the key 'label' is missing"),
        ('log = "log/x"\nalerts = { mood = {} }', "expected a kind of measures of quality"),
        (
            'log = "log/x"\nalerts = { drift = { sinks = ["team"] } }',
            "there is no sink 'team'",
        ),
        (
            'log = "log/x"\ntraffic = { latency = { p95 = 1.0 } }',
            "expected a quantile of p50, p90, p99, got 'p95'",
        ),
    ],
)
def test_what_cannot_be_is_said_with_its_place(tmp_path, text, message):
    with pytest.raises(ConfigError, match=message) as caught:
        read(tmp_path, f"[monitors.flights]\n{text}\n[deployments.other]\n")
    assert caught.value.key.startswith("monitors.flights")
