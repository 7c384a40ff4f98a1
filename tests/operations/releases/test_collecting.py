"""What a release asks others: numbers of the business, and evidence."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from penstock.errors import DataError
from penstock.operations.releases import collecting, records
from penstock.operations.releases.gates import Measure
from penstock.operations.releases.records import Release
from penstock.project.deployments import BusinessGate, Deployment, EvidenceSource, Gates
from penstock_support.releases import STAGES, evidence

NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)
RELEASE = Release("m", 1, records.RELEASE, "m", 2, 1, "champion", "local", STAGES, "ann", "", NOW)


def business(tmp_path, gate: BusinessGate):
    deployment = Deployment("m", gates=Gates(business={"bookings": gate}), name="m")
    return collecting.business(deployment, RELEASE, tmp_path)


def python(code: str) -> tuple[str, ...]:
    return (sys.executable, "-c", code)


def test_a_command_is_told_the_versions_and_gives_their_numbers(tmp_path):
    code = (
        "import json, os; c, p = (os.environ[f'PENSTOCK_{n}'] for n in ('CANDIDATE', "
        "'PRODUCTION')); print(json.dumps({c: 0.2, p: {'value': 0.1, 'lower': 0, 'upper': 1}}))"
    )
    found, problems = business(tmp_path, BusinessGate(command=python(code)))
    assert problems == []
    assert found["bookings"] == {2: Measure(0.2), 1: Measure(0.1, 0, 1)}


def test_a_file_has_numbers(tmp_path):
    path = tmp_path / "bookings.json"
    path.write_text('{"1": 3, "2": 4}')
    found, _ = business(tmp_path, BusinessGate(file=str(path)))
    assert found["bookings"] == {1: Measure(3), 2: Measure(4)}


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("print('no')", "expected JSON, got b'no"),
        ("print([1])", "expected an object with a number for each version, got [1]"),
        ("print('{\"1\": true}')", "expected a number for version 1"),
        ("print('{\"new\": 1}')", "expected the numbers of versions, got 'new'"),
        ("import sys; sys.exit('down')", "has ended with status 1: down"),
    ],
)
def test_what_is_no_number_is_not_there_and_told(tmp_path, code, said):
    found, [problem] = business(tmp_path, BusinessGate(command=python(code)))
    assert found == {}
    assert said in problem


def test_a_command_that_is_not_there_is_told(tmp_path):
    _, [problem] = business(tmp_path, BusinessGate(command=("no-such-command",)))
    assert "no-such-command cannot be started: No such file or directory" in problem


def test_a_file_that_is_not_there_is_told(tmp_path):
    _, [problem] = business(tmp_path, BusinessGate(file=str(tmp_path / "none.json")))
    assert "it cannot be read: No such file or directory" in problem


def test_evidence_of_a_command_is_of_the_routes_that_it_was_told(tmp_path):
    told = evidence().to_json()
    told.pop("token")
    path = tmp_path / "seen.json"
    path.write_text(json.dumps(told))
    source = EvidenceSource(command=python(f"print(open({str(path)!r}).read())"))
    assert collecting.evidence_of(source, RELEASE, tmp_path) == evidence()


def test_evidence_of_a_file_without_a_token_is_of_no_routes(tmp_path):
    path = tmp_path / "seen.json"
    path.write_text(json.dumps({"answers": {}}))
    found = collecting.evidence_of(EvidenceSource(file=str(path)), RELEASE, tmp_path)
    assert found.token == ""


def test_what_is_no_evidence_is_refused(tmp_path):
    source = EvidenceSource(command=python('print(\'{"answers": {"canary": {"n": 1}}}\')'))
    with pytest.raises(DataError, match="expected evidence as a server gives it"):
        collecting.evidence_of(source, RELEASE, tmp_path)


def test_without_a_place_the_target_is_asked(tmp_path):
    assert collecting.evidence_of(EvidenceSource(), replace(RELEASE), tmp_path) is None
