"""What Beam says of a worker's exception, and what is told of it."""

from __future__ import annotations

from penstock.data.beam.telling import told
from penstock.errors import DataError, PenstockError

AROUND = """Pipeline job-1 failed in state FAILED: Error running pipeline.
Traceback (most recent call last):
  File "local_job_service.py", line 294, in _run_job
    self.result = self._invoke_runner()
RuntimeError: Traceback (most recent call last):
  File "core.py", line 2118, in <lambda>
    wrapper = lambda x: [fn(x)]
{kind}: {said}

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "sdk_worker.py", line 316, in _execute
    response = task()
{kind}: something [while running 'Read']
"""


def test_an_error_of_ours_is_what_it_was_with_all_its_lines():
    said = "bad cells (/data/x.csv:3). Mend it:\nby hand."
    error = told(RuntimeError(AROUND.format(kind="penstock.errors.RowError", said=said)), None)
    assert (type(error), str(error)) == (DataError, said)


def test_an_error_that_begins_behind_what_a_runner_says_is_told_whole():
    text = AROUND.format(kind="penstock.errors.DataError", said="bad cells (/data/x.csv:3).")
    text = text.replace("RuntimeError: Traceback", "bundle inst001 stage-001 failed:Traceback")
    assert str(told(RuntimeError(text), None)) == "bad cells (/data/x.csv:3)."


def test_a_file_that_workers_lack_and_is_here_is_told(tmp_path):
    file = tmp_path / "here.csv"
    file.touch()
    said = f"[Errno 2] No such file or directory: '{file}'"
    error = told(RuntimeError(AROUND.format(kind="FileNotFoundError", said=said)), None)
    assert str(error).startswith("the file is here, and not where a worker of Beam's is")
    file.unlink()
    error = told(RuntimeError(AROUND.format(kind="FileNotFoundError", said=said)), None)
    assert str(error).startswith("Beam's job failed in the step 'Read': FileNotFoundError")


def test_what_is_nobodys_is_told_with_its_step():
    error = told(RuntimeError(AROUND.format(kind="OSError", said="no")), None)
    assert str(error) == "Beam's job failed in the step 'Read': OSError: no."


def test_the_error_that_was_raised_is_told_and_not_its_cause():
    caused = (
        "first\n\nThe above exception was the direct cause of the following exception:\n\n"
        'Traceback (most recent call last):\n  File "a.py", line 1, in b\n'
        "penstock.errors.DataError: second."
    )
    error = told(RuntimeError(AROUND.format(kind="OSError", said=caused)), None)
    assert str(error) == "second."


def test_what_says_nothing_of_workers_stays_as_it_is():
    error = ValueError("a step is there twice")
    assert told(error, None) is error


def test_a_service_that_is_gone_is_told():
    error = told(RuntimeError("StatusCode.UNAVAILABLE: Socket closed"), "beam.example:8099")
    assert isinstance(error, PenstockError)
    assert str(error).startswith("Beam's job service at beam.example:8099 no longer answers")
