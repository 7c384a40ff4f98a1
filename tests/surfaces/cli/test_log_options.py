"""Where the options of a log come from: those of the command, then those of a deployment."""

from __future__ import annotations

from pathlib import Path

import pytest

from penstock.errors import ConfigError, ParameterError
from penstock.project.config import Config, read_config
from penstock.project.prediction_log import LogOptions
from penstock.surfaces.cli.log_options import GivenLog, log_of_served

TABLES = """
[deployments.flights.log]
folder = "kept"
percent = 10
span = "hour"
size = 2.5
without = ["passenger"]
hashed = ["tail"]
truncated = { note = 20 }

[deployments.planes]
"""


def config_of(folder: Path, text: str = TABLES) -> Config:
    (folder / "penstock.toml").write_text(text)
    return read_config(folder / "penstock.toml")


def served(folder: Path, given: GivenLog, model: str = "flights", **config: str) -> LogOptions:
    log = log_of_served(given, config_of(folder, **config), model, folder / ".penstock" / "serving")
    assert log is not None
    return log


def test_a_model_that_a_deployment_serves_has_its_log(tmp_path: Path) -> None:
    assert served(tmp_path, GivenLog()) == LogOptions(
        folder=str(tmp_path / "kept"),
        percent=10,
        span="hour",
        size=2.5,
        without=("passenger",),
        hashed=("tail",),
        truncated={"note": 20},
    )


def test_options_of_the_command_come_before_those_of_the_table(tmp_path: Path) -> None:
    log = served(tmp_path, GivenLog(log_percent=50.0, log_hashed=("seat",)))
    assert (log.percent, log.hashed, log.span) == (50.0, ("seat",), "hour")
    assert served(tmp_path, GivenLog(log="/elsewhere")).folder == "/elsewhere"


def test_another_model_or_another_server_has_no_log(tmp_path: Path) -> None:
    config = config_of(tmp_path)
    state = tmp_path / ".penstock" / "serving"
    assert log_of_served(GivenLog(), config, "trains", state) is None
    assert log_of_served(GivenLog(), config, "planes", state) is None
    assert log_of_served(GivenLog(), config, "flights", tmp_path / "other") is None


def test_a_server_may_call_a_model_otherwise(tmp_path: Path) -> None:
    text = TABLES + '[deployments.flights.local]\nname = "air"\nstate = "other"\n'
    config = config_of(tmp_path, text)
    state = tmp_path / ".penstock" / "serving"
    assert log_of_served(GivenLog(), config, "flights", state) is None
    assert log_of_served(GivenLog(), config, "air", tmp_path / "other") is not None


def test_a_deployment_can_be_named(tmp_path: Path) -> None:
    log = GivenLog(deployment="flights").options(config_of(tmp_path))
    assert log is not None
    assert log.folder == str(tmp_path / "kept")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (GivenLog(deployment="flihgts"), "there is no deployment 'flihgts'"),
        (GivenLog(deployment="planes"), "the deployment planes has no log"),
        (GivenLog(log_percent=5.0), "--log-percent says how a log is kept, and nothing says where"),
        (GivenLog(log="x", log_truncated=("note",)), "--log-truncated takes COLUMN=SIZE"),
    ],
)
def test_what_cannot_be_meant_is_refused(tmp_path: Path, given: GivenLog, said: str) -> None:
    with pytest.raises(ParameterError, match=said):
        given.options(config_of(tmp_path))


def test_two_deployments_of_one_server_have_to_agree(tmp_path: Path) -> None:
    text = TABLES + '[deployments.again]\nmodel = "flights"\nlog = { folder = "again" }\n'
    with pytest.raises(ParameterError, match="flights, again serve this model from one folder"):
        served(tmp_path, GivenLog(), text=text)
    assert served(tmp_path, GivenLog(deployment="again"), text=text).percent == 100


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ("percent = 5", "the key 'folder' is missing"),
        ('folder = "s3://bucket/log"', "expected a local folder for the log"),
        ('folder = "log"\npercent = 101', "expected percent of 0 to 100, got 101"),
        ('folder = "log"\nspan = "week"', "expected a span of hour or day, got 'week'"),
        ('folder = "log"\nsize = 0', "expected a size of 0.001 GB or more, got 0"),
        ('folder = "log"\nwhitout = ["x"]', "the key 'whitout' is not known"),
        ('folder = "log"\ntruncated = { note = -1 }', "expected 0 characters or more of 'note'"),
    ],
)
def test_a_wrong_table_says_where(tmp_path: Path, table: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said) as raised:
        config_of(tmp_path, f"[deployments.flights.log]\n{table}\n")
    assert "deployments.flights.log" in str(raised.value)
