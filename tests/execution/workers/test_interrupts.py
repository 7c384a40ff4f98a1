"""What asks a run to end."""

from __future__ import annotations

import os
import signal

import pytest

from penstock.execution.workers.interrupts import counted_interrupts

pytestmark = pytest.mark.core


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda n: n.name)
def test_a_run_is_asked_to_end(number):
    with counted_interrupts() as interrupts:
        os.kill(os.getpid(), number)
    assert interrupts.count == 1


def test_a_terminal_that_is_closed_asks_for_nothing():
    before = signal.getsignal(signal.SIGHUP)
    with counted_interrupts() as interrupts:
        os.kill(os.getpid(), signal.SIGHUP)
    assert interrupts.count == 0
    assert signal.getsignal(signal.SIGHUP) is before
