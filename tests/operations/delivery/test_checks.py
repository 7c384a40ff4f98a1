"""What is kept of checks, and read again by who deploys."""

from __future__ import annotations

import pytest

from penstock.errors import DataError
from penstock.operations.delivery.checks import (
    Check,
    CheckRecord,
    State,
    read_checks,
    record_checks,
)

pytestmark = pytest.mark.core

CHECKS = (
    Check("compile", State.PASSED, "3 nodes", "p", "default", seconds=0.5),
    Check("tests", State.SKIPPED, "the project has none"),
)


def test_what_is_recorded_is_read_as_it_was(tmp_path):
    record = CheckRecord("abc", "p", CHECKS, "commit", "2026-01-01T00:00:00+00:00")
    record_checks(tmp_path, record)
    assert read_checks(tmp_path, "abc") == record


def test_nothing_is_known_of_another_fingerprint(tmp_path):
    record_checks(tmp_path, CheckRecord("abc", "p", CHECKS))
    assert read_checks(tmp_path, "abd") is None


def test_whoever_may_read_the_project_s_files_may_read_what_is_recorded(tmp_path):
    path = record_checks(tmp_path, CheckRecord("abc", "p", CHECKS))
    (tmp_path / "any").touch()
    assert path.stat().st_mode == (tmp_path / "any").stat().st_mode


def test_a_failed_check_is_an_obstacle_in_words():
    failed = Check("schema", State.FAILED, "'Agee' is not in it", "p", where="s.pbtxt", hint="Why?")
    record = CheckRecord("abc", "p", (*CHECKS, failed))
    assert record.obstacles() == ["schema of p: 'Agee' is not in it (s.pbtxt). Why?"]


def test_a_record_without_checks_is_no_evidence():
    assert CheckRecord("abc", "p", ()).obstacles() == ["nothing was checked"]


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"checks": [{"state": "odd", "name": "a"}]}'])
def test_a_record_that_is_broken_is_no_evidence(tmp_path, text):
    path = record_checks(tmp_path, CheckRecord("abc", "p", CHECKS))
    path.write_text(text)
    with pytest.raises(DataError, match="Remove the file and check again: penstock ci check"):
        read_checks(tmp_path, "abc")


def test_a_record_of_another_fingerprint_is_no_evidence(tmp_path):
    path = record_checks(tmp_path, CheckRecord("abc", "p", CHECKS))
    path.rename(path.with_name("abd.json"))
    with pytest.raises(DataError, match="expected the checks of abd in format 1, got those of abc"):
        read_checks(tmp_path, "abd")


def test_a_fingerprint_leads_to_no_other_folder(tmp_path):
    with pytest.raises(DataError):
        read_checks(tmp_path, "../../secret")
