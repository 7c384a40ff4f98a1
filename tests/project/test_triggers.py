"""The tables of triggers in penstock.toml, and the errors of those who write them."""

from __future__ import annotations

from datetime import timedelta

import pytest

from penstock.errors import ConfigError, ParameterError
from penstock.project.config import read_config
from penstock.project.triggers import Trigger, When, filled

pytestmark = pytest.mark.core


@pytest.fixture
def read(tmp_path):
    def reading(table, name="t"):
        path = tmp_path / "penstock.toml"
        path.write_text(
            '[pipelines]\nflights = "flights.py:flights"\n[profiles.cluster]\n'
            f"[triggers.{name}]\n{table}"
        )
        return read_config(path).triggers[name]

    return reading


def test_a_table_becomes_a_trigger(read):
    trigger = read(
        'when = { span = "s3://data/span-{SPAN}" }\nrun = "flights"\nprofile = "cluster"\n'
        'parameters = { span = "{SPAN}", n = 3 }\ncool_down_hours = 1.5\nlimit_a_day = 2\n'
    )
    assert trigger == Trigger(
        When(span="s3://data/span-{SPAN}"),
        "flights",
        {"span": "{SPAN}", "n": 3},
        "cluster",
        cool_down_hours=1.5,
        limit_a_day=2,
    )
    assert trigger.cool_down_time == timedelta(minutes=90)


def test_a_cool_down_can_be_an_interval(read):
    trigger = read('when = { cron = "0 6 * * 1" }\nrun = "flights"\ncool_down = "1d12h"\n')
    assert trigger.cool_down_time == timedelta(hours=36)


def test_what_a_trigger_waits_for_has_words(read):
    assert read('when = { alert = "flights.drift" }\nrun = "flights"').when.what == (
        "alert flights.drift"
    )


CRON = 'when = { cron = "0 6 * * *" }\n'
RUN = 'run = "flights"\n'


@pytest.mark.parametrize(
    ("table", "text"),
    [
        (RUN, "the key 'when' is missing (.*triggers.t)"),
        (CRON, "the key 'run' is missing"),
        (f"{CRON}{RUN}cooldown = 3", "the key 'cooldown' is not known.*Did you mean 'cool_down'"),
        (f"when = {{ corn = '* * * * *' }}\n{RUN}", "the key 'corn' is not known.*'cron'"),
        (
            f"when = {{}}\n{RUN}",
            "expected one of span, cron, .* got none of them .*triggers.t.when",
        ),
        (f"when = {{ cron = '0 6 * * *', alert = 'a' }}\n{RUN}", "got cron and alert"),
        (f"when = {{ cron = '0 6 * *' }}\n{RUN}", "expected 5 or 6 fields of cron, got 4"),
        (
            f"when = {{ cron = '0 6 * * *', timezone = 'Mars' }}\n{RUN}",
            "expected a time zone as UTC or Europe/Zurich, got 'Mars'",
        ),
        (f"when = {{ event = 'a', profile = 'cluster' }}\n{RUN}", "event is in no profile's store"),
        (f"when = {{ span = 'x{{SPAN}}', quiet = 'soon' }}\n{RUN}", "expected an interval as 30m"),
        (f"{CRON}run = 'flight'", "no pipeline 'flight' .*triggers.t.run.*Did you mean 'flights'"),
        (f"{CRON}{RUN}profile = 'custer'", "no profile 'custer'.*Did you mean 'cluster'"),
        (
            f"when = {{ upstream = 'a', profile = 'custer' }}\n{RUN}",
            "no profile 'custer' .*triggers.t.when.profile",
        ),
        (f"{CRON}{RUN}concurrency = 'wait'", "expected concurrency to be one of skip, queue, "),
        (
            f"{CRON}{RUN}catch_up = 'lst'",
            "expected catch_up to be one of none.*Did you mean 'last'",
        ),
        (
            f"{CRON}{RUN}catch_up = 'all'\nconcurrency = 'replace'",
            'concurrency = "replace" would leave some without one.*Take concurrency = "queue"',
        ),
        (
            f"{CRON}{RUN}cool_down = '1h'\ncool_down_hours = 1",
            "either cool_down or cool_down_hours",
        ),
        (f"{CRON}{RUN}cool_down_hours = -1", "expected cool_down_hours of 0 or more, got -1"),
        (f"{CRON}{RUN}limit_a_day = 0", "expected limit_a_day of 1 or more, got 0"),
        (
            f"{CRON}{RUN}parameters = {{ n = '{{SPAN}}' }}",
            r"'\{SPAN\}' refers to \{SPAN\}, which a trigger that waits for cron does not have",
        ),
        (
            f"when = {{ span = 'x{{SPAN}}' }}\n{RUN}parameters = {{ n = ['{{SPAM}}'] }}",
            r"refers to \{SPAM\}.*Did you mean 'SPAN'",
        ),
        (f"{CRON}{RUN}deduplicate = '{{SPAN}}'", r"refers to \{SPAN\}"),
        (
            f"{CRON}{RUN}parameters = {{ day = 2026-01-01 }}",
            "expected parameter 'day' to be a text, .*Put quotes around a date",
        ),
    ],
)
def test_what_is_wrong_is_said_with_its_place(read, table, text):
    with pytest.raises(ConfigError, match=text):
        read(table)


@pytest.mark.parametrize("name", ['"New"', '"a b"', '"a.b"', '"-a"'])
def test_a_name_has_small_letters(read, name):
    with pytest.raises(ConfigError, match="expected a name of small letters"):
        read(f"{CRON}{RUN}", name)


def test_templates_are_filled_at_any_depth():
    template = {"a": ["{SPAN}", 3, True], "b": {"c": "{{x}} {data.month.name}"}}
    values = {"SPAN": 7, "data": {"month": {"name": "May"}}}
    assert filled(template, values) == {"a": ["7", 3, True], "b": {"c": "{x} May"}}


def test_what_did_not_come_is_named():
    with pytest.raises(ParameterError, match=r"refers to \{data.month\}, which did not come with"):
        filled("{data.month}", {"data": None})
