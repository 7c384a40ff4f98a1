"""CloudEvents: how they are read, whom they concern, and that each is kept once."""

from __future__ import annotations

import base64
import json
from contextlib import contextmanager

import pytest
import requests

from penstock.errors import ParameterError
from penstock.operations.triggers.events import CloudEvent, read_events
from penstock.project.config import read_config
from penstock_support import triggers as project
from penstock_support.metadata_servers import certificates
from penstock_support.triggers import check, states, trained

pytestmark = [pytest.mark.core, pytest.mark.needs("starlette", "uvicorn")]

BINARY = {
    "ce-specversion": "1.0",
    "ce-id": "e1",
    "ce-source": "/lake",
    "ce-type": "com.acme.arrived",
    "content-type": "application/json",
}
EVENT = {
    "specversion": "1.0",
    "id": "e1",
    "source": "/lake",
    "type": "com.acme.arrived",
    "subject": "flights",
    "data": {"month": 5},
}


def structured(event, kind="application/cloudevents+json; charset=utf-8"):
    return read_events({"content-type": kind}, json.dumps(event).encode())


def test_an_event_is_read_in_binary_mode():
    [event] = read_events({**BINARY, "ce-subject": "fl%C3%BCge"}, b'{"month": 5}')
    assert event == CloudEvent(
        "e1", "/lake", "com.acme.arrived", subject="fl\u00fcge", data={"month": 5}
    )


def test_an_event_is_read_in_structured_mode():
    [event] = structured(EVENT)
    assert event == CloudEvent("e1", "/lake", "com.acme.arrived", "flights", data={"month": 5})


def test_events_are_read_in_a_batch():
    batch = [EVENT, {**EVENT, "id": "e2"}]
    assert [e.id for e in structured(batch, "application/cloudevents-batch+json")] == ["e1", "e2"]


def test_data_may_be_text_or_bytes():
    text = {**BINARY, "content-type": "text/plain"}
    assert read_events(text, "Mai \u00fc".encode())[0].data == "Mai \u00fc"
    assert read_events(text, b"\xff\xfe")[0].data == base64.b64encode(b"\xff\xfe").decode()


def test_data_in_base64_that_is_json_is_read():
    encoded = base64.b64encode(b'{"month": 5}').decode()
    event = {**EVENT, "data_base64": encoded, "datacontenttype": "application/json"}
    assert structured(event)[0].data == {"month": 5}


@pytest.mark.parametrize(
    ("event", "text"),
    [
        ({**EVENT, "specversion": "0.3"}, "expected specversion 1.0 of the event, got '0.3'"),
        ({**EVENT, "id": ""}, "expected a text as id of the event, got ''"),
        ({**EVENT, "type": 3}, "expected a text as type of the event, got 3"),
        ([EVENT], "expected an event as a JSON object, got list"),
        ({**EVENT, "data_base64": "!"}, "expected Base64 in data_base64"),
    ],
)
def test_what_is_no_event_is_refused(event, text):
    with pytest.raises(ParameterError, match=text):
        structured(event)


def test_a_request_that_is_no_event_says_what_one_has():
    with pytest.raises(ParameterError, match="expected a CloudEvent: headers ce-id, ce-source"):
        read_events({"content-type": "application/json"}, b"{}")


@pytest.fixture
def folder(tmp_path):
    table = 'when = { event = "com.acme.*" }\nparameters = { span = "{data.month} {SUBJECT}" }'
    project.write(tmp_path, table)
    return tmp_path


@contextmanager
def receiving(folder, *tls):
    from penstock.operations.triggers import receiving as server

    config, arrived = read_config(folder / "penstock.toml"), []
    application = server.application(
        config, ["t"], "t0ken", lambda: arrived.append(True), who="tests"
    )
    with server.serving(application, "127.0.0.1", 0, *tls) as port:

        def post(event=EVENT, headers=None, path="/", body=None):
            given = {
                "content-type": "application/cloudevents+json",
                "authorization": "Bearer t0ken",
                **(headers or {}),
            }
            data = json.dumps(event).encode() if body is None else body
            address = f"http://127.0.0.1:{port}{path}"
            return requests.post(address, data=data, headers=given, timeout=30)

        post.arrived = arrived
        post.port = port
        yield post


@pytest.fixture
def post(folder):
    with receiving(folder) as posting:
        yield posting


def test_an_event_starts_a_run(post, folder):
    answer = post()
    assert (answer.status_code, answer.json()) == (202, {"new": 1, "triggers": ["t"]})
    check(folder)
    assert trained(folder) == ["5 flights"]


def test_an_event_that_is_delivered_ten_times_starts_one(post, folder):
    answers = [post().status_code for _ in range(10)]
    assert answers == [202] + [200] * 9
    check(folder)
    assert len(trained(folder)) == 1


def test_an_event_that_is_delivered_again_after_its_run_starts_none(post, folder):
    post()
    check(folder)
    project.end_runs(folder)
    check(folder)
    post()
    check(folder)
    assert (states(folder), len(trained(folder))) == ({"/lake e1": "done"}, 1)


def test_the_id_of_another_source_is_another_event(post, folder):
    post()
    assert post({**EVENT, "source": "/sea"}).status_code == 202


def test_binary_mode_is_received_too(post):
    assert post(headers=BINARY, body=b'{"month": 5}').status_code == 202


def test_whoever_watches_is_woken_by_what_is_new(post):
    post()
    post()
    assert post.arrived == [True]


@pytest.mark.parametrize("header", ["", "Bearer wrong", "Basic t0ken", "t0ken", "Bearer"])
def test_without_the_token_nothing_is_received(post, folder, header):
    answer = post(headers={"authorization": header})
    assert answer.status_code == 401
    assert "Authorization: Bearer TOKEN" in answer.json()["error"]
    check(folder)
    assert trained(folder) == []


def test_what_no_trigger_waits_for_is_refused(post):
    answer = post({**EVENT, "type": "com.other"})
    assert answer.status_code == 404
    assert answer.json()["error"].startswith("no trigger waits for events of type 'com.other'.")


@pytest.mark.parametrize("body", [b"", b"{", b"[" * 100_000, b'{"id": "\xff"}'])
def test_what_is_broken_is_refused(post, body):
    assert post(body=body).status_code == 400


def test_what_is_too_large_is_refused(post):
    assert post(body=b" " * (1024 * 1024 + 1)).status_code == 413


def test_whether_it_works_can_be_asked_without_the_token(post):
    assert requests.get(f"http://127.0.0.1:{post.port}/health", timeout=30).text == "ok"


def test_what_cannot_be_kept_is_not_acknowledged(post, folder):
    (folder / "metadata.sqlite").mkdir()
    answer = post()
    assert answer.status_code == 503
    assert "metadata.sqlite" in answer.json()["error"]


@pytest.mark.needs("cryptography")
def test_events_are_received_through_tls(folder, tmp_path):
    made = certificates(tmp_path)
    with receiving(folder, made["server"].certificate, made["server"].key) as post:
        address = f"https://localhost:{post.port}/health"
        trusted = str(made["authority"].certificate)
        assert requests.get(address, verify=trusted, timeout=30).status_code == 200
        with pytest.raises(requests.exceptions.SSLError):
            requests.get(address, verify=str(made["other"].certificate), timeout=30)
