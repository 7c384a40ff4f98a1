from __future__ import annotations

import pytest

from penstock.execution import resources
from penstock.execution.resources import Resources, Sample, read_resources

pytestmark = pytest.mark.core


@pytest.fixture
def path(tmp_path) -> str:
    path = str(tmp_path / "Train.resources.jsonl")
    resources.begin(path, 1000.0)
    return path


def test_what_is_added_is_read(path):
    samples = (Sample(0.0, 0.0, 100), Sample(1.0, 2.0, 300, 5, 6, 7))
    for sample in samples:
        resources.add(path, sample)
    assert read_resources(path) == Resources(1000.0, samples)


def test_a_file_without_samples_says_nothing(path):
    assert read_resources(path) is None


def test_without_a_file_nothing_is_said(tmp_path):
    assert read_resources(str(tmp_path / "none")) is None


def test_a_line_that_a_killed_writer_began_is_left_out(path):
    resources.add(path, Sample(0.0, 0.0, 100))
    with open(path, "a") as file:
        file.write("[1.0,2.")
    assert read_resources(path).samples == (Sample(0.0, 0.0, 100),)


def test_the_next_try_begins_anew(path):
    resources.add(path, Sample(0.0, 0.0, 100))
    resources.begin(path, 2000.0)
    resources.add(path, Sample(0.0, 0.0, 200))
    assert read_resources(path) == Resources(2000.0, (Sample(0.0, 0.0, 200),))


def test_thinned_samples_keep_the_first_the_last_and_all_peaks(path):
    for number in range(7):
        disk = 900 if number == 3 else 0
        memory = 500 if number == 1 else 100
        resources.add(path, Sample(number, number * 2.0, memory, number, number, disk))
    assert resources.thin(path) == 4
    taken = read_resources(path)
    assert [sample.seconds for sample in taken.samples] == [0, 2, 4, 6]
    assert (taken.peak_memory_bytes, taken.peak_disk_bytes) == (500, 900)
    assert (taken.cpu_seconds, taken.read_bytes) == (12.0, 6)


def test_busy_cpus_are_cpu_seconds_by_time():
    taken = Resources(0.0, (Sample(0.0, 0.0, 1), Sample(1.0, 2.0, 1), Sample(3.0, 3.0, 1)))
    assert taken.cores() == ((0.0, 2.0), (1.0, 2.0), (1.0, 0.5), (3.0, 0.5))
    assert taken.peak_cores == 2.0


def test_samples_too_close_for_a_rate_are_taken_together():
    taken = Resources(0.0, (Sample(0.0, 0.0, 1), Sample(0.01, 0.1, 1), Sample(1.0, 1.0, 1)))
    assert taken.cores() == ((0.0, 1.0), (1.0, 1.0))


def test_what_an_unwaited_process_takes_along_is_no_negative_rate():
    taken = Resources(0.0, (Sample(0.0, 2.0, 1), Sample(1.0, 1.0, 1)))
    assert taken.peak_cores == 0.0
    assert taken.cpu_seconds == 2.0


def test_what_the_system_does_not_tell_stays_unknown():
    taken = Resources(0.0, (Sample(0.0, 0.0, 1), Sample(1.0, 1.0, 1)))
    assert taken.totals() == {
        "seconds": 1.0,
        "cpu_seconds": 1.0,
        "peak_cores": 1.0,
        "peak_memory_bytes": 1,
        "read_bytes": None,
        "written_bytes": None,
        "peak_disk_bytes": None,
    }
