"""A server goes on serving: through new versions, dead and hung workers, floods and its own end."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from penstock_support.prediction_server import PredictionServer, ask, wait_for

pytestmark = pytest.mark.needs("sklearn", "uvloop")

Row = dict[str, Any]
Start = Callable[..., PredictionServer]


def answers_of(server: PredictionServer, row: Row) -> str:
    return server.post("/predict/people", row)[1]["prediction"]


class Callers:
    """Ask without a pause, from several threads, and keep what came."""

    def __init__(self, server: PredictionServer, row: Row, number: int = 4) -> None:
        self.seen: list[tuple[int, Any]] = []
        # When each of them was asked, and answered.
        self.times: list[tuple[float, float]] = []
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._url = server.url + "/predict/people"
        self._row = row
        self._threads = [threading.Thread(target=self._ask) for _ in range(number)]

    def __enter__(self) -> Callers:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _ask(self) -> None:
        while not self._stop.is_set():
            asked = time.monotonic()
            answer = ask(self._url, self._row)
            with self._lock:
                self.seen.append(answer)
                self.times.append((asked, time.monotonic()))

    def statuses(self) -> set[int]:
        return {status for status, _ in self.seen}


def test_a_new_version_serves_without_a_lost_request(
    start: Start, add: Callable[..., None], row: Row
) -> None:
    server = start()
    with Callers(server, row) as callers:
        add()
        wait_for(lambda: answers_of(server, row) == "leaves", server)
    assert callers.statuses() == {200}
    said = [answer["prediction"] for _, answer in callers.seen]
    assert set(said) == {"stays", "leaves"}


def test_fifty_switches_under_load_lose_nothing_and_answer_by_the_right_version(
    start: Start, add: Callable[..., None], saved: Path, row: Row
) -> None:
    server = start()
    add()
    wait_for(lambda: answers_of(server, row) == "leaves", server)
    wait_for(lambda: "1" not in versions_of(server), server)
    one = {"version": 1, "path": str(saved / "1")}
    assert server.administer("PUT", "people/versions/1", one)[0] in (200, 202)
    wait_for(lambda: versions_of(server)["1"]["state"] == "ready", server)
    right = {1: "stays", 2: "leaves"}
    # What serves, from when it was told at the earliest until when the next was at the latest.
    periods = [(0.0, float("inf"), right[2])]
    with Callers(server, row, 2) as callers:
        for change in range(50):
            version = 1 + change % 2
            routes = {"production": version, "token": f"switch-{change}"}
            told = time.monotonic()
            assert server.administer("PUT", "people/routes", routes)[0] == 200
            # From the answer on, all requests are answered by it.
            periods[-1] = (periods[-1][0], time.monotonic(), periods[-1][2])
            periods.append((told, float("inf"), right[version]))
            assert answers_of(server, row) == right[version]
    assert callers.statuses() == {200}
    assert len(callers.seen) > 50
    for (_, answer), (asked, answered) in zip(callers.seen, callers.times, strict=True):
        possible = {said for since, until, said in periods if since < answered and asked < until}
        assert answer["prediction"] in possible


def versions_of(server: PredictionServer) -> dict[str, Any]:
    return server.administer("GET", "people")[1]["versions"]


def test_a_version_that_does_not_load_never_serves(
    start: Start, versions: Path, add: Callable[..., None], row: Row
) -> None:
    server = start()
    shutil.copytree(versions / "1", versions / ".part")
    (versions / ".part" / "model.skops").write_bytes(b"no model")
    os.replace(versions / ".part", versions / "2")
    failed = wait_for(lambda: versions_of(server).get("2", {}).get("state") == "failed", server)
    assert failed
    assert versions_of(server)["2"]["reason"]
    assert answers_of(server, row) == "stays"
    add(3)
    wait_for(lambda: answers_of(server, row) == "leaves", server)


def test_a_version_that_fails_its_warm_up_never_serves(
    start: Start, versions: Path, row: Row
) -> None:
    server = start()
    shutil.copytree(versions / "1", versions / ".part")
    facts = json.loads((versions / ".part" / "penstock_model.json").read_text())
    facts["signature"]["inputs"][0]["name"] = "height"
    (versions / ".part" / "penstock_model.json").write_text(json.dumps(facts))
    os.replace(versions / ".part", versions / "2")
    wait_for(lambda: versions_of(server).get("2", {}).get("state") == "failed", server)
    assert "column height" in versions_of(server)["2"]["reason"]
    assert answers_of(server, row) == "stays"


def test_a_dead_worker_is_replaced(start: Start, row: Row) -> None:
    server = start()
    [worker] = server.workers()
    os.kill(worker, signal.SIGKILL)
    wait_for(lambda: server.post("/predict/people", row)[0] == 200, server)
    assert server.workers() != [worker]


def test_why_a_dead_worker_is_not_replaced_is_said(start: Start, versions: Path, row: Row) -> None:
    server = start()
    shutil.move(versions / "1", versions / "gone")
    os.kill(server.workers()[0], signal.SIGKILL)
    said = "people is not ready: expected the folder of a model"
    wait_for(lambda: said in server.post("/predict/people", row)[1].get("error", ""), server)
    [status] = server.get("/v1/models/people")[1]["model_version_status"]
    assert "expected the folder of a model" in status["status"]["error_message"]
    shutil.move(versions / "gone", versions / "1")
    wait_for(lambda: server.get("/readyz")[0] == 200, server)
    [status] = server.get("/v1/models/people")[1]["model_version_status"]
    assert status["status"] == {"error_code": "OK", "error_message": ""}


def test_only_the_dead_workers_requests_get_an_error(start: Start, row: Row) -> None:
    server = start("--workers", "2")
    still, dying = server.workers()
    os.kill(dying, signal.SIGSTOP)
    with Callers(server, row, 4) as callers:
        # Some wait at the worker that stands still, and the others are answered.
        wait_for(lambda: len(callers.seen) > 50, server)
        os.kill(dying, signal.SIGKILL)
        wait_for(lambda: callers.statuses() == {200, 503}, server)
        wait_for(lambda: len(server.workers()) == 2, server)
    failed = [answer for status, answer in callers.seen if status == 503]
    assert 1 <= len(failed) <= 4
    assert failed[0] == {"error": "the process of the model has ended"}
    assert still in server.workers()


def test_a_worker_that_hangs_is_replaced(start: Start, row: Row) -> None:
    server = start("--timeout", "0.5")
    [worker] = server.workers()
    os.kill(worker, signal.SIGSTOP)
    status, answer = server.post("/predict/people", row)
    assert (status, answer["error"]) == (504, "the model took more than 0.5 s")
    wait_for(lambda: server.post("/predict/people", row)[0] == 200, server)
    assert worker not in server.workers()


def test_an_overload_is_answered_at_once(start: Start, row: Row) -> None:
    server = start("--queue", "2", "--timeout", "20")
    os.kill(server.workers()[0], signal.SIGSTOP)
    with Callers(server, row, 8) as callers:
        wait_for(lambda: len(callers.seen) > 20, server)
        os.kill(server.workers()[0], signal.SIGCONT)
        wait_for(lambda: 200 in callers.statuses(), server)
    assert callers.statuses() == {200, 429}
    refused = next(answer for status, answer in callers.seen if status == 429)
    assert refused == {"error": "2 requests for people wait already"}


def test_a_body_beyond_the_bound_is_refused(start: Start, row: Row) -> None:
    server = start("--max-body", "0.01", "--max-rows", "10")
    status, answer = server.post("/predict/people", [row] * 1000)
    assert (status, answer["error"]) == (
        413,
        "a request may have 10000 bytes; send fewer rows at a time",
    )
    status, answer = server.post("/predict/people", [row] * 11)
    assert (status, answer["error"]) == (413, "a request may have 10 rows, and this one has 11")


def test_a_body_that_does_not_come_is_given_up(start: Start) -> None:
    server = start("--timeout", "0.3")
    port = int(server.url.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(
            b"POST /predict/people HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n{"
        )
        assert b" 408 " in connection.recv(200)


def test_sigterm_answers_what_was_asked(start: Start, row: Row) -> None:
    server = start("--timeout", "20")
    [worker] = server.workers()
    os.kill(worker, signal.SIGSTOP)
    got: list[tuple[int, Any]] = []
    caller = threading.Thread(target=lambda: got.append(server.post("/predict/people", row)))
    caller.start()
    # It waits at the worker.
    metrics = server.url + "/metrics"
    wait_for(lambda: 'penstock_waiting{model="people"} 1.0' in ask(metrics)[1], server)
    server.process.send_signal(signal.SIGTERM)
    os.kill(worker, signal.SIGCONT)
    caller.join()
    assert [status for status, _ in got] == [200]
    assert server.process.wait(timeout=30) in (0, -signal.SIGTERM)
    assert not (server.state / "server.json").exists()


def test_a_server_that_drains_says_that_it_is_not_ready(start: Start, row: Row) -> None:
    server = start("--drain", "30")
    server.process.send_signal(signal.SIGTERM)
    wait_for(lambda: server.get("/readyz") == (503, "ending\n"), server)
    assert server.post("/predict/people", row)[0] == 200
    server.end()


def test_a_killed_servers_workers_end(start: Start) -> None:
    server = start()
    [worker] = server.workers()
    server.process.kill()
    server.process.wait()
    stat = Path(f"/proc/{worker}/stat")
    until = time.monotonic() + 20
    while stat.exists() and ") Z " not in stat.read_text() and time.monotonic() < until:
        time.sleep(0.02)
    assert not stat.exists() or ") Z " in stat.read_text()


def test_routes_outlive_a_kill(start: Start, saved: Path, row: Row) -> None:
    server = start()
    two = {"version": 2, "path": str(saved / "2")}
    server.administer("PUT", "people/versions/2", two)
    wait_for(lambda: versions_of(server).get("2", {}).get("state") == "ready", server)
    routes = {"production": 2, "canary": {"version": 1, "percent": 0}, "token": "t"}
    assert server.administer("PUT", "people/routes", routes)[0] == 200
    server.process.kill()
    server.process.wait()
    again = start()
    assert answers_of(again, row) == "leaves"
    assert again.administer("GET", "people")[1]["routes"]["token"] == "t"


def test_what_the_source_gives_anew_ends_older_routes(
    start: Start, saved: Path, add: Callable[..., None], row: Row
) -> None:
    server = start()
    two = {"version": 2, "path": str(saved / "2")}
    server.administer("PUT", "people/versions/2", two)
    wait_for(lambda: versions_of(server).get("2", {}).get("state") == "ready", server)
    server.administer("PUT", "people/routes", {"production": 2, "token": "t"})
    server.end()
    add(3, of=1)
    again = start()
    assert answers_of(again, row) == "stays"
    assert again.administer("GET", "people")[1]["routes"]["production"] == 3


def test_two_servers_do_not_share_a_state(start: Start) -> None:
    first = start()
    second = start(ready=False)
    assert second.process.wait(timeout=60) == 2
    assert "another server keeps its state in" in second.log.read_text()
    assert first.process.poll() is None


def test_others_are_let_in_with_a_token_alone(start: Start, row: Row) -> None:
    server = start("--token", "${env:SERVE_TOKEN}", SERVE_TOKEN="abc")
    assert server.post("/predict/people", row)[0] == 401
    assert server.post("/predict/people", row, Authorization="Bearer abd")[0] == 401
    assert server.post("/predict/people", row, Authorization="Bearer abc")[0] == 200
    assert server.get("/livez")[0] == 200


def test_without_a_token_it_listens_to_its_machine_alone(start: Start) -> None:
    server = start("--host", "0.0.0.0", ready=False)
    assert server.process.wait(timeout=60) == 2
    assert "others reach 0.0.0.0, and nothing says who may ask" in server.log.read_text()


def test_a_client_without_a_certificate_is_not_let_in(
    start: Start, tmp_path: Path, row: Row
) -> None:
    import ssl
    import subprocess

    for name in ("server", "client"):
        subject = ["-subj", f"/CN={name}", "-addext", "subjectAltName=IP:127.0.0.1"]
        keys = ["-keyout", f"{name}.key", "-out", f"{name}.pem"]
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", *subject, *keys],
            cwd=tmp_path,
            check=True,
            capture_output=True,
        )
    server = start(
        *("--tls-certificate", str(tmp_path / "server.pem")),
        *("--tls-key", str(tmp_path / "server.key")),
        *("--tls-client-ca", str(tmp_path / "client.pem")),
        ready=False,
    )
    wait_for(lambda: server.url.startswith("https"), server)

    def connected(with_certificate: bool) -> int:
        import http.client

        context = ssl.create_default_context(cafile=str(tmp_path / "server.pem"))
        if with_certificate:
            context.load_cert_chain(tmp_path / "client.pem", tmp_path / "client.key")
        port = int(server.url.rpartition(":")[2])
        connection = http.client.HTTPSConnection("127.0.0.1", port, context=context)
        connection.request("POST", "/predict/people", json.dumps(row))
        return connection.getresponse().status

    wait_for(lambda: connected(True) == 200, server)
    with pytest.raises((ssl.SSLError, ConnectionError)):
        connected(False)


def test_copies_for_a_shadow_that_stands_still_touch_no_caller(
    start: Start, saved: Path, row: Row
) -> None:
    server = start("--timeout", "20")
    two = {"version": 2, "path": str(saved / "2")}
    before = set(server.workers())
    server.administer("PUT", "people/versions/2", two)
    wait_for(lambda: versions_of(server).get("2", {}).get("state") == "ready", server)
    [shadow] = set(server.workers()) - before
    routes = {"production": 1, "shadow": {"version": 2, "percent": 100}, "token": "s"}
    assert server.administer("PUT", "people/routes", routes)[0] == 200
    os.kill(shadow, signal.SIGSTOP)
    with Callers(server, row) as callers:
        wait_for(lambda: len(callers.seen) > 300, server)
    os.kill(shadow, signal.SIGCONT)
    assert callers.statuses() == {200}
    evidence = server.administer("GET", "people/evidence")[1]
    assert evidence["compared"]["dropped"] > 0


def test_a_shadow_is_compared_row_by_row(start: Start, saved: Path, row: Row) -> None:
    server = start()
    server.administer("PUT", "people/versions/2", {"version": 2, "path": str(saved / "2")})
    wait_for(lambda: versions_of(server).get("2", {}).get("state") == "ready", server)
    routes = {"production": 1, "shadow": {"version": 2, "percent": 100}, "token": "s"}
    server.administer("PUT", "people/routes", routes)
    for age in (20, 70, 75):
        assert server.post("/predict/people", [{**row, "age": age}] * 2)[0] == 200

    def evidence() -> Any:
        return server.administer("GET", "people/evidence")[1]

    seen = wait_for(lambda: evidence()["compared"]["rows"] == 6 and evidence(), server)
    assert seen["compared"]["agreeing"] == 0
    assert seen["answers"]["production"]["classes"] == {"leaves": 2, "stays": 4}
    assert seen["answers"]["shadow"]["classes"] == {"leaves": 4, "stays": 2}
    assert seen["answers"]["shadow"]["requests"] == 3
    assert seen["answers"]["production"]["memory_bytes"] > 1e7


def test_a_caller_stays_with_the_canary_when_its_share_grows(
    start: Start, saved: Path, row: Row
) -> None:
    server = start()
    server.administer("PUT", "people/versions/2", {"version": 2, "path": str(saved / "2")})
    wait_for(lambda: versions_of(server).get("2", {}).get("state") == "ready", server)

    def on_canary(percent: float) -> set[int]:
        canary = {"version": 2, "percent": percent}
        routes = {
            "production": 1, "canary": canary, "key": "header:X-User", "token": f"c{percent}"
        }  # fmt: skip
        assert server.administer("PUT", "people/routes", routes)[0] == 200
        answers = {
            user: server.post("/predict/people", row, **{"X-User": f"u{user}"})[1]
            for user in range(200)
        }
        return {user for user, answer in answers.items() if answer["prediction"] == "leaves"}

    some = on_canary(20)
    more = on_canary(50)
    assert 15 < len(some) < 70
    assert some < more
    assert on_canary(20) == some
    seen = server.administer("GET", "people/evidence")[1]
    assert seen["answers"]["canary"]["requests"] == len(some)
    assert seen["answers"]["production"]["requests"] == 200 - len(some)


def test_a_column_may_say_who_a_caller_is(start: Start, saved: Path, row: Row) -> None:
    server = start()
    server.administer("PUT", "people/versions/2", {"version": 2, "path": str(saved / "2")})
    wait_for(lambda: versions_of(server).get("2", {}).get("state") == "ready", server)
    canary = {"version": 2, "percent": 50}
    routes = {"production": 1, "canary": canary, "key": "column:name", "token": "c"}
    server.administer("PUT", "people/routes", routes)
    for name in ("ann", "bob", "cid", "dan", "eve"):
        said = {answers_of(server, {**row, "name": name}) for _ in range(5)}
        assert len(said) == 1


def test_a_canary_whose_worker_died_loses_no_caller(start: Start, saved: Path, row: Row) -> None:
    server = start()
    before = set(server.workers())
    server.administer("PUT", "people/versions/2", {"version": 2, "path": str(saved / "2")})
    wait_for(lambda: versions_of(server).get("2", {}).get("state") == "ready", server)
    [canary] = set(server.workers()) - before
    routes = {"production": 1, "canary": {"version": 2, "percent": 100}, "token": "c"}
    server.administer("PUT", "people/routes", routes)
    assert answers_of(server, row) == "leaves"
    os.kill(canary, signal.SIGKILL)
    wait_for(lambda: answers_of(server, row) == "stays", server)
    wait_for(lambda: answers_of(server, row) == "leaves", server)
    assert server.administer("GET", "people/evidence")[1]["answers"]["canary"]["errors"] > 0


def test_routes_to_a_version_that_is_not_ready_are_refused(start: Start, row: Row) -> None:
    server = start()
    status, answer = server.administer("PUT", "people/routes", {"production": 7, "token": "t"})
    assert (status, answer["error"]) == (409, "version 7 of people is not here")
    assert answers_of(server, row) == "stays"


def test_a_version_that_serves_is_not_removed(start: Start) -> None:
    server = start()
    status, answer = server.administer("DELETE", "people/versions/1")
    assert (status, answer["error"]) == (
        409,
        "version 1 of people serves; shift the routes first",
    )


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"production": "1"}, "production should be of another kind"),
        ({"canary": None}, "expected production, got none"),
        ({"production": 1, "canry": {}}, "expected production, canary, shadow, key, token, got"),
        ({"production": 1, "canary": {"version": 1, "percent": 120}}, "0 to 100 percent"),
        ([], "expected an object with production"),
    ],
)
def test_routes_that_are_none_are_refused(start: Start, content: Any, said: str) -> None:
    server = start()
    status, answer = server.administer("PUT", "people/routes", content)
    assert status == 400
    assert said in answer["error"]


def test_a_certificate_that_is_not_there_is_named(start: Start) -> None:
    server = start("--tls-certificate", "none.pem", "--tls-key", "none.key", ready=False)
    assert server.process.wait(timeout=60) == 2
    assert "there is no file none.pem, which TLS is to have" in server.log.read_text()
