"""The digest of an artifact covers what a component that reads it comes to."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from penstock.execution.contents import measure, signature


@pytest.fixture
def artifact(tmp_path: Path) -> Path:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "data").write_text("one")
    (tmp_path / "artifact").mkdir()
    return tmp_path / "artifact"


def change(path: Path) -> None:
    path.write_text("two, longer")


@pytest.mark.parametrize(
    ("link", "target"), [("data", "elsewhere/data"), ("folder", "elsewhere"), ("a", "chain")]
)
def test_a_change_behind_a_link_changes_the_digest(artifact, link, target):
    (artifact.parent / "chain").symlink_to(artifact.parent / "elsewhere" / "data")
    (artifact / link).symlink_to(artifact.parent / target)
    before, before_signature = measure(str(artifact)), signature(str(artifact))
    change(artifact.parent / "elsewhere" / "data")
    assert measure(str(artifact)).digest != before.digest
    assert signature(str(artifact)) != before_signature


def test_an_artifact_that_is_a_link_changes_with_its_file(artifact):
    (artifact / "model").symlink_to(artifact.parent / "elsewhere" / "data")
    before = signature(str(artifact / "model"))
    change(artifact.parent / "elsewhere" / "data")
    assert signature(str(artifact / "model")) != before


def test_links_and_files_of_one_content_are_the_same_contents(artifact):
    (artifact / "folder").symlink_to(artifact.parent / "elsewhere")
    linked = measure(str(artifact))
    (artifact / "folder").unlink()
    (artifact / "folder").mkdir()
    (artifact / "folder" / "data").write_text("one")
    assert measure(str(artifact)).digest == linked.digest
    assert linked.size == 3


def test_links_in_a_circle_end(artifact):
    (artifact / "self").symlink_to(artifact)
    (artifact / "below").mkdir()
    (artifact / "below" / "up").symlink_to(artifact)
    (artifact / "loop").symlink_to(artifact / "loop")
    assert measure(str(artifact)) == measure(str(artifact))


def test_where_a_link_that_leads_nowhere_points_is_what_it_holds(artifact):
    (artifact / "link").symlink_to("nothing")
    before = measure(str(artifact)).digest
    (artifact / "link").unlink()
    (artifact / "link").symlink_to("notging")
    assert measure(str(artifact)).digest != before


def test_a_pipe_in_an_artifact_is_not_waited_for(artifact):
    empty = measure(str(artifact)).digest
    os.mkfifo(artifact / "pipe")
    assert measure(str(artifact)).digest != empty


def test_a_name_that_is_no_text_is_a_name(artifact):
    Path(os.fsdecode(os.fsencode(artifact) + b"/\xff\xfe")).write_text("one")
    first = measure(str(artifact)).digest
    os.rename(os.fsencode(artifact) + b"/\xff\xfe", os.fsencode(artifact) + b"/\xff\xfd")
    assert measure(str(artifact)).digest != first
