"""What `penstock.testing` gives to tests of pipelines."""

from __future__ import annotations

import pickle
import signal

import pytest

from penstock.testing import KillAt, Step


@pytest.fixture
def received():
    """The signals that arrive in place of those that kill."""
    numbers: list[int] = []
    previous = signal.signal(signal.SIGUSR1, lambda number, _: numbers.append(number))
    yield numbers
    signal.signal(signal.SIGUSR1, previous)


def test_only_its_step_of_its_node_is_one_to_kill_at(received):
    kill = KillAt(Step.WORKED, "Trainer", number=signal.SIGUSR1)
    kill(Step.WORKING, "Trainer")
    kill(Step.WORKED, "Pusher")
    assert received == []
    kill(Step.WORKED, "Trainer")
    assert received == [signal.SIGUSR1]


def test_a_later_time_can_be_meant(received):
    kill = KillAt(Step.MOVED, "Trainer", time=2, number=signal.SIGUSR1)
    kill(Step.MOVED, "Trainer")
    assert received == []
    kill(Step.MOVED, "Trainer")
    kill(Step.MOVED, "Trainer")
    assert received == [signal.SIGUSR1]


def test_it_goes_to_workers(received):
    kill = pickle.loads(pickle.dumps(KillAt(Step.WORKED, "Trainer", number=signal.SIGUSR1)))
    kill(Step.WORKED, "Trainer")
    assert received == [signal.SIGUSR1]
