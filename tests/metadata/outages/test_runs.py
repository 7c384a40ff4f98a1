"""A run whose database goes away waits for it, and nothing is lost or done twice."""

from __future__ import annotations

import contextlib
import os
import re
import signal

import pytest

from penstock.execution.steps import Step
from penstock.metadata.databases import distant
from penstock.metadata.databases.patience import StoreAway
from penstock.runners.local.display import Silent
from penstock_support import outages
from penstock_support.outages import Losing, stopped_at
from penstock_support.resuming_components import OnlyHere, runner_in, runs_of, three


class Heard(Silent):
    """Keeps what is said of waiting."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def waiting(self, reason):
        self.said.append(reason)


@pytest.mark.parametrize(
    ("step", "node", "kill"),
    [
        (Step.CLEANED, "First", False),
        (Step.REGISTERED, "Second", True),
        (Step.REPORTED, "Second", False),
    ],
    ids=["before a registration", "while a node runs, by SIGKILL", "at a publication"],
)
def test_a_run_outlives_a_server_that_is_away_for_five_seconds(
    tmp_path, instance, address, step, node, kill
):
    display, away = Heard(), stopped_at(step, node, instance, 5, kill=kill)
    runner = runner_in(tmp_path, metadata=address, display=display, on_step=OnlyHere(away))
    result = runner.run(three, parameters={"folder": str(tmp_path)})
    assert result.succeeded
    assert outages.stored(address) == outages.COMPLETE
    assert [runs_of(tmp_path, name) for name in ("First", "Second", "Third")] == [1, 1, 1]
    assert display.said[0] != ""
    assert display.said[-1] == ""


@pytest.mark.parametrize("loses_requests", [False, True], ids=["answers", "requests"])
def test_a_run_whose_every_change_is_lost_once_does_it_once(
    tmp_path, address, monkeypatch, loses_requests
):
    monkeypatch.setattr(distant, "NativeClient", Losing)
    monkeypatch.setattr(Losing, "loses_requests", loses_requests)
    monkeypatch.setattr(Losing, "seen", Losing.seen.copy())
    Losing.seen.clear()
    result = runner_in(tmp_path, metadata=address).run(three, parameters={"folder": str(tmp_path)})
    assert result.succeeded
    assert sum(number for (name, _), number in Losing.seen.items() if name.startswith("Put")) > 20
    monkeypatch.undo()
    assert outages.stored(address) == outages.COMPLETE


def test_a_run_outlives_its_client_s_crashes(tmp_path, address):
    crashes = []

    def crash(step, node):
        crashes.append(step)
        # A run that takes long has a second one, by which its lease is renewed.
        for client in filter(None, [store._client for store in stores]):
            with contextlib.suppress(ProcessLookupError):  # one that has crashed and is not asked
                os.kill(client.process_id, (signal.SIGKILL, signal.SIGSEGV)[len(crashes) % 2])

    stores = []
    original = distant.BesideStore.__init__

    def remembering(self, *arguments, **options):
        original(self, *arguments, **options)
        stores.append(self)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(distant.BesideStore, "__init__", remembering)
        result = runner_in(tmp_path, metadata=address, on_step=OnlyHere(crash)).run(
            three, parameters={"folder": str(tmp_path)}
        )
    assert result.succeeded
    assert len(crashes) > 10
    assert outages.stored(address) == outages.COMPLETE


def test_a_run_gives_up_when_its_patience_is_over_and_says_how_to_go_on(
    tmp_path, instance, address
):
    running = outages.project_in(tmp_path, address, patience=2)
    with running.run() as process:
        running.wait_for("Second")
        instance.stop()
        running.go_on()
        _, said = process.communicate(timeout=120)
    assert process.returncode == 2
    assert "waiting for the metadata store: the metadata store " in said
    assert "(waited 2 seconds). " in said
    assert re.search(r"go on with the run: penstock resume [0-9]{8}-[0-9a-f-]+\.\n$", said), said
    instance.start()
    with running.resume() as process:
        _, said = process.communicate(timeout=120)
    assert process.returncode == 0, said
    assert [runs_of(tmp_path, name) for name in ("First", "Second", "Third")] == [1, 2, 1]


def test_the_process_whose_run_gave_up_goes_on_with_it(tmp_path, instance, address):
    def stop_once(step, node):
        if (step, node) == (Step.REPORTED, "Second") and not given_up:
            given_up.append(node)
            instance.stop()

    given_up = []
    runner = runner_in(tmp_path, metadata=address, on_step=OnlyHere(stop_once), store_patience=1)
    with pytest.raises(StoreAway):
        runner.run(three, parameters={"folder": str(tmp_path)})
    instance.start()
    assert runner.resume(three).succeeded
    assert [runs_of(tmp_path, name) for name in ("First", "Second", "Third")] == [1, 2, 1]
