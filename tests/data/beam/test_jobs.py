"""Jobs of Beam's on this machine: what they take along, count and raise."""

from __future__ import annotations

import os

import apache_beam
import pytest

from penstock.authoring.beam import BeamOptions
from penstock.data.beam.watching import Watched
from penstock.errors import DataError, PenstockError, UserCodeError
from penstock.project import user_code

HERE = ("--runner=DirectRunner",)
BESIDE = (*HERE, "--direct_running_mode=multi_processing")


def refuse(_):
    raise DataError("bad cells", path="/data/x.csv", line=3)


@pytest.mark.timeout(120)
def test_a_module_file_reaches_other_processes_and_its_line_is_told(tmp_path):
    (tmp_path / "beside_it.py").write_text("def inner(x):\n    return 1 / x\n")
    module = tmp_path / "outermost.py"
    module.write_text("import beside_it\n\n\ndef outer(x):\n    return beside_it.inner(x)\n")
    function = user_code.load_function("outer", module_file=str(module))
    with (
        pytest.raises(UserCodeError, match=r"^ZeroDivisionError: division .*beside_it\.py:2"),
        BeamOptions(BESIDE).pipeline() as pipeline,
    ):
        _ = pipeline | apache_beam.Create([0]) | apache_beam.Map(function)


def leave(_):
    os._exit(3)


@pytest.mark.timeout(120)
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_worker_that_ends_is_told_and_not_waited_for():
    with (
        pytest.raises(PenstockError, match="a worker of Beam's ended before"),
        BeamOptions(BESIDE).pipeline() as pipeline,
    ):
        _ = pipeline | apache_beam.Create([1]) | apache_beam.Map(leave)


def test_in_this_process_an_error_of_ours_keeps_its_place():
    with pytest.raises(DataError) as raised, BeamOptions(HERE).pipeline() as pipeline:
        _ = pipeline | apache_beam.Create([1]) | apache_beam.Map(refuse)
    assert raised.value.line == 3


def test_rows_are_counted(tmp_path):
    told = {}
    with BeamOptions(HERE).pipeline(lambda **counts: told.update(counts)) as pipeline:
        watched = Watched(str(tmp_path), rows=lambda element: element)
        _ = pipeline | apache_beam.Create([2, 3]) | watched
    assert told == {"rows": 5}


def test_elements_end_where_the_folder_is_gone(tmp_path):
    folder = tmp_path / "staging"
    folder.mkdir()
    watched = Watched(str(folder))
    folder.rmdir()
    with (
        pytest.raises(DataError, match="the node's folder is not on"),
        BeamOptions(HERE).pipeline() as pipeline,
    ):
        _ = pipeline | apache_beam.Create([1]) | watched
