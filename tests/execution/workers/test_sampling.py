from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest

from penstock.execution import resources
from penstock.execution.resources import read_resources
from penstock.execution.workers import sampling
from penstock.execution.workers.sampling import Subject

MB = 1_000_000


@pytest.fixture
def working():
    """A process that says what it has done: working(code) is one that waits for its input's end."""
    started = []

    def start(code: str) -> int:
        program = f"import sys\n{code}\nprint('done', flush=True)\nsys.stdin.read()"
        process = subprocess.Popen(
            [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        started.append(process)
        assert process.stdout.readline() == b"done\n"
        return process.pid

    yield start
    for process in started:
        process.kill()
        process.communicate()


def measured(process_id: int) -> resources.Sample:
    sample = sampling.measure(Subject(process_id, "", time.monotonic()))
    assert sample is not None
    return sample


def test_cpu_seconds_are_those_of_the_process(working):
    code = "import time\nwhile time.process_time() < 0.3: pass"
    assert 0.25 < measured(working(code)).cpu_seconds < 3


def test_memory_of_children_counts_what_is_theirs_alone(working):
    fork = """
import os
shared = bytearray(os.urandom(100_000_000))
ready, tell = os.pipe()
if not os.fork():
    own = bytearray(os.urandom(50_000_000))
    os.write(tell, b"!")
    os.read(0, 1)
    os._exit(0)
os.read(ready, 1)
"""
    assert 150 * MB < measured(working(fork)).memory_bytes < 200 * MB


def test_what_a_child_wrote_counts_also_when_it_has_ended(working, tmp_path):
    write = f"open({str(tmp_path / 'file')!r}, 'wb').write(bytes(3_000_000))"
    code = f"import subprocess\nsubprocess.run([sys.executable, '-c', {write!r}], check=True)"
    assert measured(working(code)).written_bytes >= 3 * MB


def test_a_process_that_has_ended_has_no_sample():
    process = subprocess.Popen([sys.executable, "-c", ""])
    # As a zombie, which its parent has not waited for, too.
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert sampling.measure(Subject(process.pid, "", 0.0)) is None
    process.wait()
    assert sampling.measure(Subject(process.pid, "", 0.0)) is None


def test_disk_is_what_the_folders_of_a_worker_take(tmp_path):
    (tmp_path / "inside").mkdir()
    (tmp_path / "inside" / "file").write_bytes(bytes(100_000))
    path = str(tmp_path / "taken.jsonl")
    assert sampling.begin(path)
    folders = (str(tmp_path / "inside"), str(tmp_path / "none"))
    with sampling.both_ends(Subject(os.getpid(), path, time.monotonic(), folders)):
        pass
    assert 100_000 <= read_resources(path).peak_disk_bytes < 120_000


def test_a_file_that_cannot_be_written_is_not_begun(tmp_path):
    assert not sampling.begin(str(tmp_path / "none" / "taken.jsonl"))


def test_a_long_work_has_a_bounded_number_of_samples(tmp_path, monkeypatch):
    monkeypatch.setattr(sampling, "MOST_SAMPLES", 10)
    path = str(tmp_path / "taken.jsonl")
    sampling.begin(path)
    subject = Subject(os.getpid(), path, time.monotonic())
    with sampling.both_ends(subject):
        watch = sampling._Watch(subject, 0.0)
        for _ in range(100):
            assert watch.look()
            assert len(read_resources(path).samples) <= 10
    assert watch.least > 2
