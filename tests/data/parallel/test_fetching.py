"""Remote files are fetched by who reads them, if they can."""

from __future__ import annotations

from pathlib import Path

import pytest

from penstock.authoring.beam import BeamOptions
from penstock.data.parallel.fetching import by_workers, fetch_files
from penstock.data.parallel.workers import Workers
from penstock.errors import DataError, StorageError


class OtherMachines(Workers):
    """Workers whose machines are played by `before` and `after` a part that this process does."""

    def __init__(self, before=lambda: None, after=lambda _: None):
        self.before, self.after, self.stopped = before, after, False

    def _results(self, work, parts, named, advance):
        for part in parts:
            self.before()
            yield work(part, advance)
            self.after(part)

    def _stop(self):
        self.stopped = True


@pytest.fixture
def copies(tmp_path):
    (tmp_path / "there").mkdir()
    for name in "ab":
        (tmp_path / "there" / name).write_text(name)
    return {f"local://{tmp_path}/there/{name}": f"{tmp_path}/here/{name}" for name in "ab"}


def contents(copies):
    return [Path(path).read_text() for path in copies.values()]


def test_workers_of_a_cluster_fetch_and_are_stopped(copies, capsys):
    workers = OtherMachines()
    fetch_files(copies, by_workers(workers))
    assert contents(copies) == ["a", "b"]
    assert capsys.readouterr().out == "Workers have fetched 2 files.\n"
    assert workers.stopped


def test_what_workers_may_not_read_is_fetched_here(copies, capsys):
    def refuse():
        raise StorageError("cannot read s3://bucket/a: no credentials")

    fetch_files(copies, by_workers(OtherMachines(before=refuse)))
    assert contents(copies) == ["a", "b"]
    said = "The node's process fetches the files itself: cannot read s3://bucket/a: no credentials."
    assert capsys.readouterr().out == f"{said}\n"


def test_what_workers_do_not_find_is_fetched_here(copies):
    def miss():
        raise DataError("there is no such file or folder in the object store")

    fetch_files(copies, by_workers(OtherMachines(before=miss)))
    assert contents(copies) == ["a", "b"]


def test_what_workers_fetch_into_a_folder_of_their_own_is_fetched_here(copies, capsys, tmp_path):
    fetch_files(copies, by_workers(OtherMachines(after=lambda copy: (tmp_path / copy[1]).unlink())))
    assert contents(copies) == ["a", "b"]
    assert "which is not seen here" in capsys.readouterr().out


def test_what_is_said_to_be_fetched_and_is_not_there_is_fetched_here(copies, capsys):
    fetch_files(copies, lambda _: None)
    assert contents(copies) == ["a", "b"]
    assert "which is not seen here" in capsys.readouterr().out


def test_forks_of_this_process_fetch_nothing():
    assert BeamOptions().fetch() is None


def test_a_runner_on_this_machine_fetches_nothing():
    assert BeamOptions(("--runner=DirectRunner",)).fetch() is None


def test_a_fetched_file_leaves_no_part_behind(copies, tmp_path):
    fetch_files(copies, by_workers(OtherMachines()))
    assert sorted(path.name for path in (tmp_path / "here").iterdir()) == ["a", "b"]
