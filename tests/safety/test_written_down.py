from __future__ import annotations

import pytest

from penstock import LocalRunner, Output, component, pipeline
from penstock.artifacts import Model
from penstock.errors import WrittenDownWarning
from penstock.safety import written_down
from penstock.testing import Silent

SECRETS = [
    ("password", "hunter22", "a secret"),
    ("store_password", "hunter22", "a secret"),
    ("clientSecret", "q8d7f6s5", "a secret"),
    ("api_key", "q8d7f6s5", "a secret"),
    ("token", "q8d7f6s5", "a secret"),
    ("aws.secret_access_key", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "a secret"),
    ("options", '{"user": "ann", "password": "hunter22"}', "a secret, 'password'"),
    ("key_id", "AKIAIOSFODNN7EXAMPLE", "a key of AWS"),
    ("clone", "ghp_" + "a1" * 18, "a token of GitHub"),
    ("clone", "glpat-" + "a1" * 10, "a token of GitLab"),
    ("channel", "xoxb-1234567890-abc", "a token of Slack"),
    ("maps", "AIza" + "a" * 35, "a key of Google"),
    ("hub", "hf_" + "a" * 34, "a token of Hugging Face"),
    ("pem", "-----BEGIN RSA PRIVATE KEY-----\nMIIE", "a private key"),
    ("pem", "-----BEGIN OPENSSH PRIVATE KEY-----\nb3Bl", "a private key"),
    ("query", "read mysql://ann:hunter22@db/x", "an address with a password"),
]
PLAIN = [
    ("password", "${env:PASSWORD}"),
    ("password", ""),
    ("password", "no"),
    ("password_column", "password"),
    ("pad_token", "[PAD]"),
    ("token", "[MASK]"),
    ("max_tokens", "1024"),
    ("token", "1024"),
    ("tokenizer", "wordpiece"),
    ("private_key", "/etc/ssl/key"),
    ("private_key", "keys/mine"),
    ("private_key", "mine.pem"),
    ("primary_key", "customer_id"),
    ("sort_key", "created"),
    ("address", "mysql://ann:${env:PASSWORD}@db/x"),
    ("address", "http://localhost:8080/a@b"),
    ("address", "git@github.com:ann/x.git"),
    ("text", "the password is not here"),
    ("secret", "to be or not to be"),
    ("options", '{"pad_token": "[PAD]", "password": "${env:PASSWORD}"}'),
    ("certificate", "-----BEGIN CERTIFICATE-----\nMIIE"),
    ("feature", "token"),
]


@pytest.mark.parametrize(("name", "text", "what"), SECRETS)
def test_what_is_written_down_is_noticed(name, text, what):
    assert written_down.seems(name, text) == what


@pytest.mark.parametrize(("name", "text"), PLAIN)
def test_what_may_be_something_else_is_not_spoken_of(name, text):
    assert written_down.seems(name, text) == ""


@component
def Fetch(model: Output[Model], password: str, dsn: str) -> None:
    """Fetch a model."""


@pipeline
def fetching(password: str = "hunter22"):
    return Fetch(password=password, dsn="mysql://ann:hunter23@db/x")


def test_a_run_warns_once_of_each_and_prints_none(tmp_path):
    runner = LocalRunner(
        pipeline_root=str(tmp_path / "root"),
        metadata=str(tmp_path / "metadata.sqlite"),
        display=Silent(),
    )
    with pytest.warns(WrittenDownWarning) as warned:
        runner.plan(fetching)
    said = [str(warning.message) for warning in warned]
    assert [text.partition(" has ")[0] for text in said] == [
        "parameter 'password'",
        "node Fetch, parameter 'dsn'",
    ]
    assert "write '${env:NAME}' in its place" in said[0]
    assert "hunter" not in "".join(said)


def test_a_reference_is_no_reason_to_warn(tmp_path, recwarn, monkeypatch):
    monkeypatch.setenv("FETCH_PASSWORD", "hunter22")
    written_down.warn_of_parameters({"password": "${env:FETCH_PASSWORD}", "rows": 3})
    assert list(recwarn) == []
