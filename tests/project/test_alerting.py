"""The tables `sinks`, and rules of alerts: what they say, and what they may not."""

from __future__ import annotations

import pytest

from penstock.errors import ConfigError, ParameterError
from penstock.project.alerting import (
    AlertmanagerSink,
    AlertRule,
    EmailSink,
    FileSink,
    SlackSink,
    WebhookSink,
    complete_rules,
)
from penstock.project.config import read_config
from penstock.project.tables import read_table

pytestmark = pytest.mark.core


def read(tmp_path, text: str):
    path = tmp_path / "penstock.toml"
    path.write_text(text)
    return read_config(path).sinks


def test_a_sink_of_each_kind_is_read(tmp_path):
    found = read(
        tmp_path,
        """
        [sinks.log]
        kind = "file"
        path = "alerts.jsonl"
        [sinks.hook]
        kind = "webhook"
        url = "https://hooks.example/alerts"
        secret = "${env:HOOK_SECRET}"
        headers = { Authorization = "Bearer ${env:HOOK_TOKEN}", X-Team = "data" }
        min_severity = "critical"
        group_minutes = 5
        [sinks.mail]
        kind = "email"
        host = "mail.example"
        from = "penstock@example.com"
        to = ["team@example.com"]
        user = "penstock"
        password = "${env:MAIL_PASSWORD}"
        [sinks.team]
        kind = "slack"
        url = "${env:SLACK_URL}"
        alerts = ["flights.*"]
        repeat_hours = 0
        [sinks.prometheus]
        kind = "alertmanager"
        url = "http://alertmanager:9093"
        labels = { cluster = "eu" }
        """,
    )
    assert list(found) == ["log", "hook", "mail", "team", "prometheus"]
    assert found["log"] == FileSink(name="log", kind="file", path=str(tmp_path / "alerts.jsonl"))
    hook, mail, team = found["hook"], found["mail"], found["team"]
    assert isinstance(hook, WebhookSink)
    assert isinstance(mail, EmailSink)
    assert (hook.min_severity, hook.group_minutes, hook.repeat_hours) == ("critical", 5, 24)
    assert (mail.sender, mail.port_number) == ("penstock@example.com", 587)
    assert isinstance(team, SlackSink)
    assert isinstance(found["prometheus"], AlertmanagerSink)
    assert team.takes("flights.drift", "info")
    assert not team.takes("taxi.drift", "info")
    assert found["prometheus"].repeat_hours == 1


def test_a_sink_takes_what_is_severe_enough():
    sink = FileSink(path="a", min_severity="warning")
    taken = [severity for severity in ("info", "warning", "critical") if sink.takes("a", severity)]
    assert taken == ["warning", "critical"]


def test_secrets_are_not_shown(tmp_path):
    hook = WebhookSink(url="https://a", secret="${env:HOOK_SECRET}")
    assert "HOOK_SECRET" not in repr(hook)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("", "expected a kind of file, webhook, email, slack, alertmanager, got none"),
        ('kind = "pager"', "expected a kind of file, .*, got 'pager'"),
        ('kind = "file"', "the key 'path' is missing"),
        ('kind = "file"\npath = "logs/"', "expected the path of a file, got 'logs/'"),
        ('kind = "file"\npath = "a"\nurl = "b"', "the key 'url' is not known"),
        ('kind = "file"\npath = "a"\nmin_severity = "bad"', "expected min_severity of info"),
        ('kind = "file"\npath = "a"\ngroup_minutes = -1', "expected group_minutes of 0 or more"),
        ('kind = "file"\npath = "a"\nname = "b"', "there is no such option"),
        ('kind = "webhook"\nurl = "ftp://a"', "expected a url of http or https"),
        ('kind = "webhook"\nurl = "https://a"\nsecret = "s3cret"', "a secret is written down"),
        ('kind = "webhook"\nurl = "https://a:b@c"', "a secret is written down"),
        (
            'kind = "webhook"\nurl = "https://a"\nheaders = { Authorization = "Bearer x" }',
            "a secret is written down .*headers.Authorization",
        ),
        (
            'kind = "webhook"\nurl = "https://a"\nheaders = { "X:Y" = "z" }',
            "expected a header in a line, got 'X:Y'",
        ),
        ('kind = "slack"\nurl = "https://hooks.slack.com/T/B/x"', "a secret is written down"),
        ('kind = "alertmanager"\nurl = "http://a"\ntoken = "x"', "a secret is written down"),
        (
            'kind = "alertmanager"\nurl = "http://a"\nlabels = { "a-b" = "x" }',
            "expected labels of letters, digits and underscores, got 'a-b'",
        ),
        ('kind = "email"\nhost = "a"\nto = ["b@c"]', "the key 'from' is missing"),
        ('kind = "email"\nhost = "a"\nfrom = "a@b"\nto = []', "expected somebody in `to`"),
        ('kind = "email"\nhost = "a"\nfrom = "a"\nto = ["b@c"]', "an address of email, got 'a'"),
        (
            'kind = "email"\nhost = "a"\nfrom = "a@b"\nto = ["b@c"]\npassword = "x"',
            "a secret is written down",
        ),
        (
            'kind = "email"\nhost = "a"\nfrom = "a@b"\nto = ["b@c"]\nsecurity = "none"\n'
            'password = "${env:X}"',
            "the password would go to a without TLS",
        ),
    ],
)
def test_what_a_sink_may_not_say(tmp_path, table, message):
    with pytest.raises(ConfigError, match=message) as raised:
        read(tmp_path, f"[sinks.s]\n{table}\n")
    assert "sinks.s" in str(raised.value)
    assert "hooks.slack.com" not in str(raised.value)


def test_a_rule_that_says_nothing_has_the_severity_of_its_kind():
    rules = complete_rules({"drift": AlertRule(severity="critical"), "skew": AlertRule(windows=3)})
    assert (rules["drift"].severity, rules["skew"].severity) == ("critical", "warning")
    assert (rules["skew"].windows, rules["performance"].severity) == (3, "critical")


def test_a_rule_is_read_of_a_table():
    table = {"windows": 2, "subjects": ["dep_*"], "sinks": [], "enabled": True}
    rule = read_table(AlertRule, table)
    assert rule.counts("dep_delay", "js")
    assert not rule.counts("distance", "js")
    assert rule.sinks == ()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"severity": "bad"}, "expected a severity of info, warning, critical, got 'bad'"),
        ({"windows": 0}, "expected windows of 1 or more, got 0"),
        ({"resolve_windows": 0}, "expected resolve_windows of 1 or more, got 0"),
    ],
)
def test_what_a_rule_may_not_say(options, message):
    with pytest.raises(ParameterError, match=message):
        AlertRule(**options)
