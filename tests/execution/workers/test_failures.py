"""What is said of work that failed."""

from __future__ import annotations

import errno
import os

from penstock.errors import DataError
from penstock.execution.workers.failures import describe


def _raised_from(error: DataError, cause: OSError) -> DataError:
    error.__cause__ = cause
    return error


def test_data_in_a_file_that_went_stale_can_be_gone_on_with(tmp_path):
    cause = OSError(errno.ESTALE, os.strerror(errno.ESTALE), str(tmp_path / "x"))
    error = _raised_from(DataError(f"cannot read an input file: {cause.strerror}", path="x"), cause)
    assert describe(error, str(tmp_path)) == (
        "cannot read an input file: Stale file handle (x). Another machine has replaced or removed "
        "it, or its file server was started anew. If it is there again, go on with the run: "
        "penstock resume."
    )


def test_an_error_that_says_what_to_do_says_that_alone(tmp_path):
    cause = OSError(errno.ESTALE, os.strerror(errno.ESTALE), "x")
    error = _raised_from(DataError("it is gone", hint="Bring it back."), cause)
    assert describe(error, str(tmp_path)) == "it is gone. Bring it back."


def test_an_error_of_data_alone_is_as_it_was(tmp_path):
    error = DataError("expected a number", line=3)
    assert describe(error, str(tmp_path)) == str(error)
