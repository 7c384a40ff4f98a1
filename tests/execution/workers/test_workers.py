from __future__ import annotations

import io
import os
import pickle
import signal
import sys

import pytest

from penstock._tfx import executable_spec_pb2
from penstock.data.parallel.processes import flush
from penstock.execution.workers.forking import write_to
from penstock.execution.workers.jobs import Job, Started
from penstock.execution.workers.nursery import Nursery, start_nursery

SPEC = executable_spec_pb2.PythonClassExecutableSpec(class_path="no.such.Executor")
SLOW = "imports_when_told"


@pytest.fixture
def nursery(tmp_path):
    made: list[Nursery] = []

    def make(*preload: str) -> Nursery:
        made.append(start_nursery(preload, str(tmp_path / "workers.log")))
        return made[-1]

    yield make
    for each in made:
        each.close()


def reports(nursery: Nursery, most: int = 2) -> list[object]:
    found: list[object] = []
    while len(found) < most and nursery.connection.poll(60):
        found += [report for _, report in nursery.receive()]
    return found


def job(tmp_path, *needs: str) -> Job:
    return Job("executor", b"", SPEC, str(tmp_path / "node.log"), needs=needs)


def test_a_job_begins_and_its_failure_is_told(nursery, tmp_path):
    made = nursery()
    made.submit("node", job(tmp_path))
    started, failed = reports(made)[:2]
    assert started == Started()
    assert "Could not import no.such.Executor" in failed.message


def test_a_job_that_came_first_begins_when_its_modules_are_there(nursery, tmp_path, monkeypatch):
    monkeypatch.setenv("IMPORT_WHEN_THERE", str(tmp_path / "there"))
    made = nursery(SLOW)
    made.submit("node", job(tmp_path, SLOW))
    (tmp_path / "there").touch()
    assert reports(made)[0] == Started()


def test_a_job_that_needs_none_of_the_modules_does_not_wait_for_the_rest(
    nursery, tmp_path, monkeypatch
):
    monkeypatch.setenv("IMPORT_WHEN_THERE", str(tmp_path / "there"))
    made = nursery("json.tool", SLOW)
    made.submit("node", job(tmp_path, "json.tool"))
    (tmp_path / "there").touch()
    assert reports(made)[0] == Started()


def test_an_interrupt_ends_no_nursery_that_is_still_starting(nursery, tmp_path):
    made = nursery()
    os.kill(made._process.pid, signal.SIGINT)
    made.submit("node", job(tmp_path))
    assert reports(made, 1) == [Started()]
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, ())


def test_a_nursery_says_when_it_has_died(tmp_path):
    nursery = start_nursery((), str(tmp_path / "log"))
    nursery._process.kill()
    nursery._process.join()
    with pytest.raises((EOFError, OSError)):
        nursery.connection.poll(10)
        nursery.receive()
    nursery.close()


def test_a_job_can_cross_process_borders():
    assert pickle.loads(pickle.dumps(Job("executor", b"x", SPEC, "/log"))).spec == SPEC


def test_keras_is_the_one_that_tfxs_processes_have(nursery, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    # Set by tensorflow_transform, where another test has imported it into this process.
    monkeypatch.delenv("TF_USE_LEGACY_KERAS", raising=False)
    module = tmp_path / "asks_for_keras.py"
    module.write_text("import tensorflow\nprint('Keras of', tensorflow.keras.Model.__module__)\n")
    made = nursery("tensorflow_transform", "asks_for_keras")
    made.submit("node", job(tmp_path, "asks_for_keras"))
    assert reports(made, 1) == [Started()]
    assert "Keras of keras.src.models.model" in (tmp_path / "workers.log").read_text()


@pytest.mark.parametrize("instead", [io.StringIO, lambda: None])
def test_what_is_printed_is_written_wherever_the_copied_process_had_it_go(
    tmp_path, monkeypatch, instead
):
    log = tmp_path / "log"
    monkeypatch.setattr(sys, "stdout", instead())
    child = os.fork()
    if not child:
        try:
            write_to(os.open(log, os.O_WRONLY | os.O_CREAT))
            print("something to read in the log")
            flush()
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    assert log.read_text() == "something to read in the log\n"
