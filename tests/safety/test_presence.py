"""What cannot be looked at is not taken for gone."""

from __future__ import annotations

import errno
import os

import pytest

from penstock.errors import StorageError
from penstock.execution import staging
from penstock.safety.presence import is_file, is_there, is_there_itself

pytestmark = pytest.mark.core


@pytest.fixture
def stale(monkeypatch):
    """Let files of some names be stale for whoever looks at them."""
    original, names = os.stat, set()

    def look(path, *arguments, **options):
        if os.path.basename(path) in names:
            raise OSError(errno.ESTALE, os.strerror(errno.ESTALE), path)
        return original(path, *arguments, **options)

    monkeypatch.setattr(os, "stat", look)
    return names


def test_what_is_there_is_told_from_what_is_not(tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to("nowhere")
    (tmp_path / "loop").symlink_to("loop")
    names = ["", "file", "link", "loop", "nothing", "file/below", "n" * 5000, "a\0b"]
    paths = [str(tmp_path / name) for name in names]
    assert [is_there(path) for path in paths] == [os.path.exists(path) for path in paths]
    assert [is_there_itself(path) for path in paths] == [os.path.lexists(path) for path in paths]
    assert [is_file(path) for path in paths] == [os.path.isfile(path) for path in paths]


def test_what_cannot_be_looked_at_is_an_error(tmp_path, stale):
    stale.add("file")
    path = tmp_path / "file"
    with pytest.raises(StorageError) as raised:
        is_there(str(path))
    assert str(raised.value) == (
        f"it cannot be told whether {path} is there: Stale file handle. Look at the disk or the "
        "file server that it is on, and go on when that answers."
    )


def test_an_output_that_cannot_be_looked_at_is_not_left_unpublished(tmp_path, stale):
    (tmp_path / "staged").mkdir()
    output = staging.StagedOutput(str(tmp_path / "final"), str(tmp_path / "staged"))
    stale.add("staged")
    with pytest.raises(StorageError, match="it cannot be told whether"):
        staging.publish(output)
    stale.clear()
    staging.publish(output)
    assert (tmp_path / "final").is_dir()
