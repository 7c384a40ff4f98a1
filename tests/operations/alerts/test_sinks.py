"""What sinks are sent, and what their answers mean: over real connections, to strict servers."""

from __future__ import annotations

import base64
import email
import email.policy
import hashlib
import hmac
import json
import math
import threading
import time
from datetime import UTC, datetime, timedelta

import pytest

from penstock.metadata.alerts import Addition, Alert, End, Raised
from penstock.operations.alerts.messages import Message
from penstock.operations.alerts.sinks.sending import send
from penstock.operations.alerts.sinks.undelivered import Undelivered
from penstock.operations.alerts.telling import RAISED, RESOLVED, Change, changes_of
from penstock.project.alerting import (
    AlertmanagerSink,
    EmailSink,
    FileSink,
    SlackSink,
    WebhookSink,
)
from penstock_support import metadata_servers
from penstock_support.sinks import alertmanager_answer, mail_server, web_server

pytestmark = pytest.mark.core

AT = datetime(2026, 5, 4, 12, tzinfo=UTC)
SECRET = "s3cret/+ü"
HOSTILE = (
    "x\r\nBcc: eve@example.com\n<!channel> @all [click](http://evil.example) *_~`&\x00\x1b[31m"
)


def raised(name="flights.drift", key="2026-05-04T12:00Z", **options):
    data = {
        "monitor": "flights",
        "kind": "drift",
        "subjects": ["dep_delay"],
        "measures": [{"subject": "dep_delay", "name": "js", "value": 0.21, "threshold": 0.1}],
        "who": "data team",
    }
    given = {"summary": "dep_delay has drifted", "at": AT, "data": data}
    end = options.pop("end", None)
    additions = options.pop("additions", ())
    return Raised(Alert(name, key, **{**given, **options}), "monitor", additions, end)


OVER = End(AT + timedelta(hours=1), "ada", "it is mended")


def message(*alerts, kind=RAISED, message_id="0123456789abcdef01234567"):
    changes = tuple(Change(kind, each, each.alert.at) for each in (alerts or (raised(),)))
    return Message(message_id, "team", changes)


def hostile():
    data = {"subjects": [HOSTILE], "measures": [{"subject": HOSTILE, "value": math.nan}]}
    return message(raised("x", HOSTILE, summary=HOSTILE * 100, data=data))


def large():
    subjects = [f"{number}{'y' * 2000}" for number in range(500)]
    return message(raised(data={"subjects": subjects, "rows": 1, "blob": "z" * 100_000}))


@pytest.fixture(autouse=True)
def secrets_are_set(monkeypatch):
    monkeypatch.setenv("SINK_SECRET", SECRET)


@pytest.fixture(scope="module")
def signed(tmp_path_factory):
    return metadata_servers.certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def server():
    with web_server() as serving:
        yield serving


def hook(server, **options):
    given = {"url": f"{server.url}/hook", "timeout_seconds": 5, **options}
    return WebhookSink(name="team", kind="webhook", **given)


def undelivered(sink, what=None):
    with pytest.raises(Undelivered) as found:
        send(sink, what or message())
    return found.value


# Files.


def test_a_file_has_a_line_for_each_message(tmp_path):
    sink = FileSink(name="log", kind="file", path=str(tmp_path / "logs" / "alerts.jsonl"))
    send(sink, message())
    send(sink, hostile())
    first, second = (tmp_path / "logs" / "alerts.jsonl").read_text().splitlines()
    [alert] = json.loads(first)["alerts"]
    assert (alert["name"], alert["state"], alert["subjects"]) == (
        "flights.drift",
        "open",
        ["dep_delay"],
    )
    assert json.loads(second)["alerts"][0]["data"]["measures"][0]["value"] is None


def test_lines_of_many_who_write_at_once_are_whole(tmp_path):
    sink = FileSink(name="log", kind="file", path=str(tmp_path / "alerts.jsonl"))
    threads = [threading.Thread(target=send, args=(sink, large())) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    lines = (tmp_path / "alerts.jsonl").read_text().splitlines()
    assert [json.loads(line)["sink"] for line in lines] == ["team"] * 8


def test_a_file_that_cannot_be_written_is_tried_again(tmp_path):
    error = undelivered(FileSink(name="log", kind="file", path=str(tmp_path)))
    assert error.reason == f"{tmp_path}: Is a directory"
    assert error.again


# Webhooks.


def test_a_webhook_is_signed_over_the_time_and_the_body(server):
    sink = hook(server, secret="${env:SINK_SECRET}", headers={"X-Team": "data"})
    send(sink, message())
    [received] = server.received
    told = dict(part.split("=") for part in received.headers["Penstock-Signature"].split(","))
    signed_text = told["t"].encode() + b"." + received.body
    expected = hmac.new(SECRET.encode(), signed_text, hashlib.sha256).hexdigest()
    assert told["v1"] == expected
    assert abs(int(told["t"]) - time.time()) < 60
    assert received.headers["Idempotency-Key"] == "0123456789abcdef01234567"
    assert (received.path, received.headers["X-Team"]) == ("/hook", "data")
    assert received.content["alerts"][0]["summary"] == "dep_delay has drifted"


def test_a_webhook_says_what_was_added_and_that_it_is_over(server):
    added = Addition(AT, ("distance",), ({"subject": "distance", "value": 0.3},))
    alert = raised(additions=(added,), end=OVER)
    send(hook(server), Message("id", "team", tuple(changes_of(alert))))
    told = server.received[0].content["alerts"]
    assert [each["change"] for each in told] == ["raised", "more", "resolved"]
    assert (told[1]["added"], told[2]["end"]["why"]) == (["distance"], "it is mended")


def test_what_is_too_large_is_left_out_and_named(server):
    send(hook(server), large())
    [received] = server.received
    [alert] = received.content["alerts"]
    assert alert["left_out"] == ["subjects", "blob"]
    assert alert["data"] == {"rows": 1}
    assert (len(alert["subjects"]), alert["more_subjects"]) == (50, 450)
    assert len(received.body) < 64_000


@pytest.mark.parametrize(
    ("status", "again"), [(500, True), (503, True), (404, True), (401, True), (400, False)]
)
def test_an_answer_says_whether_it_is_tried_again(server, status, again):
    server.answer(status, "no such hook")
    error = undelivered(hook(server))
    assert error.reason == f"{server.url} answers with status {status}: no such hook"
    assert error.again is again
    send(hook(server), message())
    assert len(server.received) == 2


def test_a_server_says_when_it_is_tried_again(server):
    server.answer(429, "slow down", Retry_After="120")
    server.answer(503, "", Retry_After="Wed, 21 Oct 2099 07:28:00 GMT")
    server.answer(503, "", Retry_After="soon")
    assert [undelivered(hook(server)).after for _ in range(3)] == [120, 86400, 0]


def test_nothing_is_sent_to_where_an_answer_leads(server):
    server.answer(307, "", Location=f"{server.url}/other")
    assert "leads elsewhere; give the address" in undelivered(hook(server)).reason
    assert len(server.received) == 1


def test_a_server_that_says_nothing_is_not_waited_for_long(server):
    server.silence.set()
    error = undelivered(hook(server, timeout_seconds=0.3))
    assert error.reason == f"{server.url} has not answered within 0.3 s"
    assert error.again


def test_a_server_that_is_down_takes_it_when_it_is_up():
    with web_server() as down:
        sink = hook(down)
    assert "does not answer: " in undelivered(sink).reason
    with web_server(port=down.port) as up:
        send(sink, message())
    assert len(up.received) == 1


@pytest.mark.needs("cryptography")
def test_a_server_with_tls_is_believed_by_who_signed_it(signed):
    with web_server(signed=signed["server"]) as server:
        authority = str(signed["authority"].certificate)
        send(hook(server, certificate_authority=authority), message())
        assert len(server.received) == 1
        assert "certificate verify failed" in undelivered(hook(server)).reason
    assert len(server.received) == 1


def test_a_user_and_a_password_of_an_address_are_a_header(server):
    url = f"http://ada:${{env:SINK_SECRET}}@localhost:{server.port}/hook"
    send(hook(server, url=url), message())
    expected = base64.b64encode(f"ada:{SECRET}".encode()).decode()
    assert server.received[0].headers["Authorization"] == f"Basic {expected}"


def test_a_variable_that_is_not_set_is_named_and_tried_again(server):
    error = undelivered(hook(server, secret="${env:NOT_THERE_AT_ALL}"))
    assert "the environment variable NOT_THERE_AT_ALL is not set" in error.reason
    assert error.again


def test_a_server_that_repeats_a_secret_does_not_make_it_known(server):
    server.answer(500, f"Bearer {SECRET} is not right")
    sink = hook(server, headers={"Authorization": "Bearer ${env:SINK_SECRET}"})
    assert undelivered(sink).reason.endswith("Bearer ${env:SINK_SECRET} is not right")


def test_a_secret_that_is_no_header_is_not_shown(server, monkeypatch):
    monkeypatch.setenv("SINK_SECRET", "s3cret\r\nX-Admin: yes")
    sink = hook(server, headers={"Authorization": "Bearer ${env:SINK_SECRET}"})
    reason = undelivered(sink).reason
    assert "expected a header in a line, got 'Authorization'" in reason
    assert "s3cret" not in reason


# Slack.


def slack(server):
    return SlackSink(name="team", kind="slack", url=f"{server.url}/services/T/B/x")


def test_slack_is_told_in_text_and_color(server):
    send(slack(server), message())
    content = server.received[0].content
    assert content["text"] == "[warning] flights.drift: dep_delay has drifted"
    [attachment] = content["attachments"]
    assert attachment["title"] == "flights.drift 2026-05-04T12:00Z: raised (warning)"
    assert "dep_delay js: 0.21, limit 0.1" in attachment["text"].splitlines()
    assert "responsible: data team" in attachment["text"]


def test_what_comes_from_data_is_no_link_no_mention_and_no_line_for_slack(server):
    send(slack(server), hostile())
    content = server.received[0].content
    texts = [content["text"], *content["attachments"][0].values()]
    shown = "\n".join(text for text in texts if isinstance(text, str))
    assert "&lt;!channel&gt;" in shown
    for live in ("<!", "@all", "](", "://", "\x1b", "\x00", "\r"):
        assert live not in shown
    assert len(json.dumps(content)) < 20_000


def test_an_address_that_is_a_secret_is_not_shown(server, monkeypatch):
    monkeypatch.setenv("SLACK_URL", f"{server.url}/services/T0/B0/secret")
    server.answer(404, "no_service")
    error = undelivered(SlackSink(name="team", kind="slack", url="${env:SLACK_URL}"))
    assert error.reason == f"{server.url} answers with status 404: no_service"


def test_an_address_that_is_none_is_not_shown(monkeypatch):
    monkeypatch.setenv("SLACK_URL", "http://localhost:1/T/B/se cret\n")
    error = undelivered(SlackSink(name="team", kind="slack", url="${env:SLACK_URL}"))
    assert error.reason == "http://localhost:1: its url or a header is none that can be sent"


# Alertmanager.


@pytest.fixture
def alertmanager():
    with web_server(check=alertmanager_answer) as serving:
        yield serving


def prometheus(server, **options):
    given = {"url": server.url, "labels": {"cluster": "eu"}, **options}
    return AlertmanagerSink(name="prometheus", kind="alertmanager", **given)


def test_alertmanager_is_told_an_alert_by_labels_that_stay(alertmanager):
    sink = prometheus(alertmanager, generator_url="https://penstock.example/alerts/{NAME}/{KEY}")
    send(sink, message())
    send(sink, message(raised(end=OVER), kind=RESOLVED))
    first, second = (received.content[0] for received in alertmanager.received)
    assert first["labels"] == second["labels"]
    assert first["labels"] == {
        "alertname": "flights.drift",
        "severity": "warning",
        "key": "2026-05-04T12:00Z",
        "monitor": "flights",
        "kind": "drift",
        "cluster": "eu",
    }
    assert first["generatorURL"].endswith("/alerts/flights.drift/2026-05-04T12%3A00Z")
    assert datetime.fromisoformat(first["endsAt"]) > datetime.now(UTC) + timedelta(days=29)
    assert second["endsAt"] == OVER.at.isoformat()
    assert first["startsAt"] == AT.isoformat()


def test_alertmanager_takes_an_alert_of_several_changes_once(alertmanager):
    alert = raised(end=OVER)
    send(prometheus(alertmanager), Message("id", "team", tuple(changes_of(alert))))
    assert len(alertmanager.received[0].content) == 1


@pytest.mark.parametrize("make", [hostile, large])
def test_alertmanager_takes_what_comes_from_data(alertmanager, make):
    send(prometheus(alertmanager), make())
    assert len(alertmanager.received) == 1


def test_alertmanager_that_refuses_says_why(alertmanager):
    alertmanager.answer(400, '"bad alert"')
    error = undelivered(prometheus(alertmanager))
    assert error.reason.endswith('answers with status 400: "bad alert"')
    assert not error.again


# Email.


def mail(server, **options):
    given = {
        "host": "localhost",
        "port": server.port,
        "sender": "penstock@example.com",
        "to": ("team@example.com", "ada@example.com"),
        "security": "none",
        "timeout_seconds": 5,
        **options,
    }
    return EmailSink(name="mail", kind="email", **given)


def parsed(server):
    [(sender, to, content)] = server.taken
    return sender, to, email.message_from_bytes(content, policy=email.policy.default)


def test_an_email_has_a_subject_an_id_and_what_was_measured():
    with mail_server() as server:
        send(mail(server), message())
    sender, to, content = parsed(server)
    assert "<penstock@example.com>" in sender
    assert to == ["team@example.com", "ada@example.com"]
    assert content["Subject"] == "[warning] flights.drift: dep_delay has drifted"
    assert content["Message-ID"] == "<0123456789abcdef01234567@example.com>"
    assert content["Auto-Submitted"] == "auto-generated"
    assert "  dep_delay js: 0.21, limit 0.1" in content.get_content()


def test_an_email_comes_through_where_only_ascii_does():
    with mail_server() as server:
        send(mail(server), message(raised(summary="dep_délai dérive")))
    _, _, content = parsed(server)
    assert content["Subject"] == "[warning] flights.drift: dep_délai dérive"
    assert "  dep_délai dérive" in content.get_content()


def test_emails_about_an_alert_are_one_thread():
    with mail_server() as server:
        send(mail(server), message())
        send(mail(server), message(raised(end=OVER), kind=RESOLVED, message_id="b" * 24))
    first, second = (email.message_from_bytes(content) for _, _, content in server.taken)
    assert first["References"] == second["References"]
    assert first["Message-ID"] != second["Message-ID"]


def test_what_comes_from_data_is_no_header_of_an_email():
    with mail_server() as server:
        send(mail(server), hostile())
    _, to, content = parsed(server)
    assert content["Bcc"] is None
    assert to == ["team@example.com", "ada@example.com"]
    assert "\x1b" not in content.get_content()


def test_an_email_of_much_data_is_bounded():
    with mail_server() as server:
        send(mail(server), large())
    assert len(server.taken[0][2]) < 20_000


@pytest.mark.needs("cryptography")
def test_starttls_and_a_password_are_used(signed):
    authority = str(signed["authority"].certificate)
    with mail_server(signed=signed["server"], user="penstock", password=SECRET) as server:
        known = {"user": "penstock", "password": "${env:SINK_SECRET}"}
        sink = mail(server, security="starttls", certificate_authority=authority, **known)
        send(sink, message())
        assert server.was_encrypted == [True]
        untrusted = mail(server, security="starttls", **known)
        assert "certificate verify failed" in undelivered(untrusted).reason


@pytest.mark.needs("cryptography")
def test_tls_from_the_beginning_is_used(signed):
    authority = str(signed["authority"].certificate)
    with mail_server(signed=signed["server"], implicit=True) as server:
        send(mail(server, security="tls", certificate_authority=authority), message())
    assert server.was_encrypted == [True]


def test_a_server_without_starttls_gets_nothing():
    with mail_server() as server:
        error = undelivered(mail(server, security="starttls"))
    assert "STARTTLS extension not supported" in error.reason
    assert server.taken == []


def test_a_password_that_is_not_right_is_tried_again_and_not_shown(monkeypatch):
    with mail_server(user="penstock", password="another") as server:
        error = undelivered(mail(server, user="penstock", password="${env:SINK_SECRET}"))
    assert "refuses the user penstock: 535 ${env:SINK_SECRET} is not right" in error.reason
    assert error.again


@pytest.mark.parametrize(
    ("word", "answers", "again"),
    [
        ("RCPT", ["550 nobody", "550 nobody"], False),
        ("RCPT", ["450 later", "550 nobody"], True),
        ("DATA", ["451 later"], True),
        ("DATA", ["554 no"], False),
    ],
)
def test_an_email_that_is_refused_for_now_is_tried_again(word, answers, again):
    with mail_server() as server:
        server.answers[word] = list(answers)
        error = undelivered(mail(server))
        assert error.again is again
        send(mail(server), message())
    assert len(server.taken) == 1


def test_an_email_that_some_may_not_have_is_not_sent_to_the_others_twice():
    with mail_server() as server:
        server.answers["RCPT"] = ["250 ok", "550 nobody"]
        error = undelivered(mail(server))
    assert error.reason.endswith("refuses ada@example.com; the others have the email")
    assert not error.again
    assert len(server.taken) == 1


def test_a_mail_server_that_is_down_is_named():
    with mail_server() as server:
        pass
    error = undelivered(mail(server))
    assert error.reason.startswith(f"localhost:{server.port} does not take email: ")
    assert error.again
