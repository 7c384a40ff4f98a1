"""Spans that arrive in an object store."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from penstock.data.files import remote
from penstock.data.spans import find_spans
from penstock_support import triggers as project
from penstock_support.kubeflow_backend import BUCKET, s3_service
from penstock_support.triggers import check, end_runs, states, trained

pytestmark = pytest.mark.needs("s3fs")


@pytest.fixture(scope="module")
def service():
    with s3_service() as environment:
        yield environment


@pytest.fixture
def put(service, tmp_path, monkeypatch):
    """Put rows into the store, below a folder of the test's own."""
    for name, value in service.items():
        monkeypatch.setenv(name, value)
    folder = f"s3://{BUCKET}/{tmp_path.name}"

    def putting(name, text="n\n1\n"):
        (tmp_path / "rows").write_text(text)
        remote.upload(str(tmp_path / "rows"), f"{folder}/{name}")

    putting.folder = folder
    return putting


def test_a_span_in_s3_starts_a_run_once(put, tmp_path):
    table = (
        f'when = {{ span = "{put.folder}/span-{{SPAN}}" }}\nparameters = {{ span = "{{SPAN}}" }}'
    )
    project.write(tmp_path, table)
    check(tmp_path)
    assert states(tmp_path) == {}
    for span in (1, 2):
        put(f"span-{span}/day/rows.csv")
        for _ in range(2):
            check(tmp_path)
            end_runs(tmp_path)
            check(tmp_path)
    assert trained(tmp_path) == ["1", "2"]


def test_spans_have_their_versions_times_and_number_of_files(put):
    before = datetime.now(UTC).timestamp() - 2
    for name in ("1/v1/a.csv", "2/v1/a.csv", "2/v1/b.csv", "2/v1/_SUCCESS", "2/v2/a.csv"):
        put(name)
    found = find_spans(f"{put.folder}/{{SPAN}}/v{{VERSION}}/*")
    assert [(f.span, f.version, f.files) for f in found] == [(1, 1, 1), (2, 1, 2), (2, 2, 1)]
    assert all(f.changed > before for f in found)


def test_altered_objects_have_another_fingerprint(put):
    put("1.csv")
    pattern = f"{put.folder}/{{SPAN}}.csv"
    [before] = find_spans(pattern)
    put("1.csv")
    assert find_spans(pattern)[0].fingerprint == before.fingerprint
    put("1.csv", "n\n2\n")
    assert find_spans(pattern)[0].fingerprint != before.fingerprint
