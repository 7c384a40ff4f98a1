"""The tables `deployments`: what they say, and what they may not."""

from __future__ import annotations

import pytest

from penstock.errors import ConfigError, ParameterError
from penstock.project.config import read_config
from penstock.project.deployments import Deployment, parse_percent

pytestmark = pytest.mark.core


def read(tmp_path, text: str) -> Deployment:
    path = tmp_path / "penstock.toml"
    path.write_text(text)
    return read_config(path).deployments["flights"]


def test_a_table_alone_is_a_server_of_this_machine(tmp_path):
    found = read(tmp_path, "[deployments.flights]\n")
    assert (found.model, found.target, found.name) == ("flights", "local", "flights")
    assert found.local.state == str(tmp_path / ".penstock/serving")


def test_the_table_of_the_design_is_read(tmp_path):
    found = read(
        tmp_path,
        """
        [deployments.flights]
        model = "delays"
        target = "local"
        release = { shadow = "100%", hours = 1, canary = [5, 25, 50], bake_minutes = 30 }
        [deployments.flights.gates.business.bookings]
        command = ["python", "bookings.py"]
        tolerance = 0.01
        """,
    )
    assert (found.model, found.release.shadow_percent) == ("delays", 100)
    assert found.release.canary == (5, 25, 50)
    assert found.gates.business["bookings"].command == ("python", "bookings.py")


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ('target = "kubernetes"', "expected a target of local, filesystem, kserve"),
        ('target = "filesystem"', "the key 'folder' is missing"),
        ('target = "kserve"', "the keys 'namespace' and 'model_format' are needed"),
        ("release = { canary = [25, 5] }", "expected shares that grow, got 25, 5"),
        ("release = { canary = [0] }", "expected shares above 0 and at most 100 percent, got 0"),
        ('release = { shadow = "150%" }', "expected a share of 0% to 100%, got '150%'"),
        ('release = { key = "user" }', "expected a key as header:NAME or column:NAME"),
        ('environment = "production"', "there is no environment 'production'"),
        ('model = "a b"', "deployments.flights.model"),
        ('name = "x"', "there is no such option"),
        ('local = { token = "secret" }', "a token is written down"),
        ('gates = { drift = { test = "ks" } }', "expected a test of js or psi, got 'ks'"),
        ("gates = { latency = { ratio = 0.5 } }", "expected a ratio of 1 or more"),
        ("gates = { errors = { tolerance = -1 } }", "expected tolerance of 0 or more"),
        ("gates = { business = { b = {} } }", "expected one of command, file and url"),
        (
            'target = "filesystem"\nfilesystem = { folder = "m" }\nrelease = { shadow = "5%" }',
            "filesystem sends no copies of requests to a shadow",
        ),
    ],
)
def test_what_is_wrong_is_told_with_its_place(tmp_path, table, message):
    with pytest.raises(ConfigError) as raised:
        read(tmp_path, f"[deployments.flights]\n{table}\n")
    assert message in str(raised.value)
    assert "deployments.flights" in str(raised.value)


def test_a_name_is_of_small_letters(tmp_path):
    with pytest.raises(ConfigError, match="a deployment cannot be named 'Flights'"):
        read(tmp_path, "[deployments.Flights]\n")


@pytest.mark.parametrize(("text", "percent"), [("5%", 5), ("12.5", 12.5), ("100%", 100)])
def test_a_share_is_read(text, percent):
    assert parse_percent(text) == percent


def test_a_share_that_is_none_is_refused():
    with pytest.raises(ParameterError, match="got 'half'"):
        parse_percent("half")
