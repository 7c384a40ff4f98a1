"""Events reach their receiver, or their loss is counted; the run never waits for long."""

import json
import os
import threading

import pytest

from penstock.openlineage import RunEvents, destination, parse_destination
from penstock.openlineage.delivery import MOST_WAITING, Mailbox


@pytest.fixture(autouse=True)
def patience(monkeypatch):
    """A busy machine is no receiver that hangs; a test for those says what is enough."""
    monkeypatch.setattr(destination, "TIMEOUT_SECONDS", 60.0)


def emit(address: str, *, nodes: int = 2, token: str = "", flush_seconds: float = 600.0):
    """Tell of a run with some nodes; return what became of its events."""
    events = RunEvents(parse_destination(address, token=token))
    events.run_started("run-1", "taxi", {"steps": 3})
    for number in range(nodes):
        events.node_started(f"Node{number}", execution_id=number)
        events.node_ended(f"Node{number}", "done")
    return events.run_ended("done", flush_seconds=flush_seconds)


def test_a_receiver_is_sent_every_event_in_its_order(receiver):
    delivery = emit(receiver.url)
    assert (delivery.events, delivery.lost) == (6, 0)
    told = [(event["job"]["name"], event["eventType"]) for event in receiver.events]
    assert told == [
        ("taxi", "START"),
        ("taxi.Node0", "START"),
        ("taxi.Node0", "COMPLETE"),
        ("taxi.Node1", "START"),
        ("taxi.Node1", "COMPLETE"),
        ("taxi", "COMPLETE"),
    ]


def test_events_are_posted_to_the_path_and_with_the_token(receiver):
    emit(f"{receiver.url}/my/events?team=a", nodes=0, token="canary")
    path, headers = receiver.requests[0]
    assert path == "/my/events?team=a"
    assert headers["Authorization"] == "Bearer canary"
    assert headers["Content-Type"] == "application/json"


def test_a_file_gets_a_line_for_every_event(tmp_path):
    path = tmp_path / "new" / "events.jsonl"
    assert emit(f"file:{path}").lost == 0
    assert emit(f"file:{path}").lost == 0
    types = [json.loads(line)["eventType"] for line in path.read_text().splitlines()]
    assert types.count("START") == types.count("COMPLETE") == 6


@pytest.mark.parametrize(
    ("behaviour", "reason"),
    [
        ("fails", "answered 500 Internal Server Error"),
        ("refuses", "answered 403 Forbidden"),
        ("closes", "RemoteDisconnected"),
        ("closes half-way", "IncompleteRead"),
    ],
)
def test_a_receiver_that_misbehaves_costs_events_and_nothing_else(receiver_that, behaviour, reason):
    receiver = receiver_that(behaviour)
    delivery = emit(receiver.url, token="canary")
    assert (delivery.events, delivery.lost) == (6, 6)
    assert reason in delivery.reason
    assert str(delivery).startswith("6 of 6 events were not delivered: http://127.0.0.1")
    assert "canary" not in str(delivery)


def test_a_receiver_that_hangs_costs_events_and_a_while(receiver_that, monkeypatch):
    monkeypatch.setattr(destination, "TIMEOUT_SECONDS", 0.1)
    delivery = emit(receiver_that("hangs").url)
    assert (delivery.events, delivery.lost) == (6, 6)
    assert delivery.reason.endswith("did not answer within 0.1 s")


def test_where_nothing_listens_that_is_said(closed_port):
    delivery = emit(f"http://user:canary@127.0.0.1:{closed_port}")
    assert delivery.lost == 6
    assert delivery.reason == f"http://127.0.0.1:{closed_port}: Connection refused"


def test_a_host_that_does_not_exist_is_said():
    assert emit("http://receiver.invalid", nodes=0).reason.startswith("http://receiver.invalid: ")


def test_an_event_is_tried_again_when_the_receiver_was_busy(receiver):
    busy = iter([503, 429])

    def behave(handler):
        status = next(busy, None)
        if status is None:
            return False
        handler.answer(status)
        return True

    receiver.behave = behave
    assert emit(receiver.url).lost == 0
    assert len(receiver.events) == 6
    assert len(receiver.requests) == 8


def test_an_event_that_is_refused_is_not_tried_again(receiver_that):
    receiver = receiver_that("refuses")
    emit(receiver.url, nodes=0)
    assert len(receiver.requests) == 2


def test_a_receiver_that_has_failed_gets_one_attempt_for_each_event_until_it_recovers(receiver):
    answers = iter([500] * 4)

    def behave(handler):
        status = next(answers, None)
        if status is None:
            return False
        handler.answer(status)
        return True

    receiver.behave = behave
    delivery = emit(receiver.url)
    # Three attempts for the first, one for the second, and the others arrive.
    assert (delivery.lost, len(receiver.events), len(receiver.requests)) == (2, 4, 8)
    assert "answered 500" in delivery.reason


def test_the_end_of_a_run_waits_no_longer_than_it_may(receiver_that):
    receiver = receiver_that("hangs")
    delivery = emit(receiver.url, flush_seconds=0.1)
    assert not receiver.released.is_set()
    assert delivery.lost == 6
    assert delivery.reason == "it would have taken more than 0.1 s"


def test_a_receiver_that_hangs_never_stops_who_posts(receiver_that):
    events = RunEvents(parse_destination(receiver_that("hangs").url))
    events.run_started("run-1", "taxi", {})
    for _ in range(MOST_WAITING // 2 + 5):
        events.node_started("Node")
        events.node_ended("Node", "done")
    delivery = events.run_ended("done", flush_seconds=0.1)
    assert delivery.lost == delivery.events == MOST_WAITING + 12
    assert delivery.reason == f"more than {MOST_WAITING} were waiting"


def test_what_has_been_given_up_is_not_sent_any_more():
    sent, going_on = [], threading.Event()

    def sink(event):
        sent.append(event)
        going_on.wait()

    mailbox = Mailbox(lambda: sink)
    for number in range(3):
        mailbox.post(lambda number=number: number)
    assert mailbox.close(0.0).lost == 3
    going_on.set()
    mailbox._thread.join()
    assert sent in ([], [0])


def test_a_file_that_cannot_be_written_is_said(tmp_path):
    (tmp_path / "plain").write_text("")
    delivery = emit(f"file:{tmp_path}/plain/events.jsonl", nodes=0)
    assert delivery.lost == 2
    assert delivery.reason == f"{tmp_path}/plain/events.jsonl: File exists"


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_full_disk_is_said():
    delivery = emit("file:/dev/full", nodes=0)
    assert delivery.reason == "/dev/full: No space left on device"


def test_an_event_that_cannot_be_made_is_lost_alone(tmp_path):
    path = tmp_path / "events.jsonl"
    events = RunEvents(parse_destination(f"file:{path}"))
    events.run_started("run-1", "taxi", {})
    events.node_started("Node", inputs={"examples": [object()]})
    delivery = events.run_ended("done")
    assert (delivery.events, delivery.lost) == (3, 1)
    assert delivery.reason == "AttributeError while an event was made"
    assert len(path.read_text().splitlines()) == 2
