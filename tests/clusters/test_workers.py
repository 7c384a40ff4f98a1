"""Parts of some work on a real Spark and a real Ray, each with two workers."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import threading
from functools import partial
from pathlib import Path

import pytest

from penstock import RayOptions, SparkOptions
from penstock.data.parallel.choosing import workers_of
from penstock.errors import DataError, PenstockError
from penstock_support.clusters import free_port, kill, ray_cluster, spark_cluster

pytestmark = pytest.mark.timeout(180)

CLUSTERS = {"spark": spark_cluster, "ray": ray_cluster}


def squared(part, advance):
    advance(part)
    return part * part


def test_results_come_in_the_order_of_the_parts(workers):
    assert list(workers.map(squared, range(50))) == [part * part for part in range(50)]


def test_how_far_parts_have_come_is_told_here(workers):
    advanced = []
    list(workers.map(squared, range(5), advance=advanced.append))
    assert sum(advanced) == 10


def test_workers_do_one_work_after_another(workers):
    for _ in range(2):
        assert list(workers.map(squared, [2, 3])) == [4, 9]


def where(_, __):
    return os.getcwd()


def test_workers_are_in_another_folder(workers):
    assert list(workers.map(where, [0])) != [os.getcwd()]


def refusing(part, _):
    raise DataError("expected a number", path="data.csv", line=part)


def test_an_error_of_a_part_is_raised_here_as_it_was_there(workers):
    with pytest.raises(DataError, match=r"expected a number \(data.csv:7\)"):
        list(workers.map(refusing, [7]))


def test_the_traceback_of_a_worker_is_the_cause(workers):
    with pytest.raises(DataError) as raised:
        list(workers.map(refusing, [7]))
    assert "in refusing" in str(raised.value.__cause__)


class TwoThings(Exception):
    """It can be pickled, and not be made again."""

    def __init__(self, one, other):
        super().__init__(f"{one} and {other}")


def raising(*_):
    raise TwoThings("this", "that")


def test_an_error_that_cannot_travel_comes_as_its_text(workers):
    with pytest.raises(PenstockError, match="TwoThings: this and that"):
        list(workers.map(raising, [0]))


def reading(path, _):
    if os.getcwd() != path:
        raise FileNotFoundError(2, "No such file or directory", path)


def test_a_file_that_only_this_machine_has_is_told_so(workers, tmp_path):
    path = tmp_path / "data.csv"
    path.write_text("a\n1\n")
    with pytest.raises(DataError, match=r"the file is here, and not on .*folder that all machines"):
        list(workers.map(reading, [str(path)]))


@pytest.mark.parametrize("make", [SparkOptions, RayOptions])
def test_an_address_that_nobody_answers_at_is_told_at_once(make):
    port = free_port()
    scheme = "spark" if make is SparkOptions else "ray"
    with workers_of(make(f"{scheme}://127.0.0.1:{port}")) as workers:
        with pytest.raises(PenstockError, match=rf"nobody answers for .*127.0.0.1:{port}"):
            list(workers.map(squared, [1]))


def test_a_worker_without_what_it_needs_says_what(spark):
    bare = SparkOptions(spark.options.master, {"spark.pyspark.python": sys._base_executable})
    with workers_of(bare) as workers:
        with pytest.raises(PenstockError, match="could not do it: No module named .*same extras"):
            list(workers.map(squared, [1], named=lambda _: "do it"))


def hanging_at_first(folder, part, _):
    """Say who is at a part, and hang; whoever comes to it then does it."""
    mark = Path(folder, str(part))
    try:
        mark.touch(exist_ok=False)
    except FileExistsError:
        return part
    Path(folder, "at_work").write_text(f"{os.getpid()}\n")
    os.replace(Path(folder, "at_work"), Path(folder, "worker"))
    threading.Event().wait()
    return None


def awaited_worker(folder):
    """Return the process of the worker that hangs, once it does."""
    while not (folder / "worker").exists():
        threading.Event().wait(0.05)
    return int((folder / "worker").read_text())


def ancestors(process):
    """Return the processes that a process comes from."""
    found = []
    while process > 1:
        stat = Path(f"/proc/{process}/stat").read_text()
        process = int(stat.rpartition(")")[2].split()[1])
        found.append(process)
    return found


@pytest.mark.parametrize("name", CLUSTERS)
def test_a_part_whose_worker_was_killed_is_done_by_another(name, tmp_path):
    marks = tmp_path / "marks"
    marks.mkdir()
    with CLUSTERS[name](tmp_path / "cluster") as cluster, workers_of(cluster.options) as workers:

        def kill_the_first():
            os.kill(awaited_worker(marks), signal.SIGKILL)

        killing = threading.Thread(target=kill_the_first)
        killing.start()
        assert list(workers.map(partial(hanging_at_first, str(marks)), [0])) == [0]
        killing.join()


def test_parts_of_a_machine_that_died_are_done_by_another(tmp_path):
    marks = tmp_path / "marks"
    marks.mkdir()
    with spark_cluster(tmp_path / "cluster") as cluster, workers_of(cluster.options) as workers:

        def kill_its_machine():
            above = ancestors(awaited_worker(marks))
            kill(next(machine for machine in cluster.workers if machine.pid in above))

        killing = threading.Thread(target=kill_its_machine)
        killing.start()
        assert list(workers.map(partial(hanging_at_first, str(marks)), [0])) == [0]
        killing.join()


DRIVER = """
import sys
from functools import partial
sys.path[:0] = [{tests!r}, {support!r}]
from penstock import BeamOptions
import test_workers
work = partial(test_workers.hanging_at_first, {marks!r})
with BeamOptions({args!r}).workers() as workers:
    list(workers.map(work, [0]))
"""


@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGINT])
def test_work_ends_with_who_asked_for_it(cluster, tmp_path, sent):
    here = Path(__file__).parent
    script = DRIVER.format(
        tests=str(here),
        support=str(here.parent / "support"),
        marks=str(tmp_path),
        args=cluster.options.args,
    )
    asking = subprocess.Popen([sys.executable, "-c", script], stderr=subprocess.DEVNULL)
    worker = os.pidfd_open(awaited_worker(tmp_path))
    asking.send_signal(sent)
    ended, _, _ = select.select([worker], [], [], 60)
    os.close(worker)
    asking.wait()
    assert ended
