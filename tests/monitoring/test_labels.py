"""Labels that come late, and the rows that they belong to."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from penstock.errors import DataError, ParameterError
from penstock.monitoring.labels import as_text, find_labels, join, read_labels
from penstock.project.monitors import Labels

pytestmark = pytest.mark.core

ROWS = pa.table({"log/request_id": ["a", "b", "c"], "flight": [1, 2, 3]})


def labels(folder, **options):
    return Labels(**{"source": "{SPAN}/*.csv", "label": "late", "folder": str(folder), **options})


def write(folder, span, text):
    (folder / str(span)).mkdir(exist_ok=True)
    (folder / str(span) / "labels.csv").write_text(text)


def labeled(folder, **options):
    source = labels(folder, **options)
    found = find_labels(source)
    return join(ROWS, read_labels(found.splits[0].files, source), source)


def test_rows_get_the_labels_of_their_requests(tmp_path):
    write(tmp_path, 1, "request_id,late\nb,1\na,0\n")
    assert labeled(tmp_path).labels.to_pylist() == ["0", "1", None]


def test_rows_without_a_label_wait(tmp_path):
    write(tmp_path, 1, "request_id,late\nb,1\n")
    assert labeled(tmp_path).waiting == 2


def test_labels_of_all_spans_count_and_of_two_the_later_one(tmp_path):
    write(tmp_path, 2, "request_id,late\na,1\n")
    write(tmp_path, 1, "request_id,late\na,0\nc,0\n")
    assert labeled(tmp_path).labels.to_pylist() == ["1", None, "0"]


def test_a_label_that_is_empty_has_not_come(tmp_path):
    write(tmp_path, 1, "request_id,late\na,\nb,1\n")
    assert labeled(tmp_path).labels.to_pylist() == [None, "1", None]


def test_a_key_may_be_columns_of_features_whatever_their_types(tmp_path):
    write(tmp_path, 1, "number,late\n2.0,1\n3.0,0\n")
    found = labeled(tmp_path, key={"number": "flight"})
    assert found.labels.to_pylist() == [None, "1", "0"]


def test_labels_may_be_parquet(tmp_path):
    (tmp_path / "1").mkdir()
    pq.write_table(
        pa.table({"request_id": ["a", "b"], "late": [True, False]}), tmp_path / "1" / "l.parquet"
    )
    found = labeled(tmp_path, source="{SPAN}/*.parquet")
    assert found.labels.to_pylist() == ["1", "0", None]


def test_labels_without_spans_are_all_files_that_fit(tmp_path):
    (tmp_path / "all.csv").write_text("request_id,late\na,1\n")
    assert labeled(tmp_path, source="*.csv").labels.to_pylist() == ["1", None, None]


@pytest.mark.parametrize("source", ["{SPAN}/*.csv", "*.csv", "nowhere/*.csv"])
def test_before_any_label_has_come_there_are_none(tmp_path, source):
    assert find_labels(labels(tmp_path, source=source)) is None


def test_a_file_without_the_column_is_said(tmp_path):
    write(tmp_path, 1, "request_id,delayed\na,1\n")
    with pytest.raises(DataError, match="the labels have no column 'late'"):
        labeled(tmp_path)


def test_a_log_without_the_column_of_the_key_is_said(tmp_path):
    write(tmp_path, 1, "number,late\n2,1\n")
    with pytest.raises(DataError, match="the log has no column 'flihgt', by which labels are"):
        labeled(tmp_path, key={"number": "flihgt"})


def test_a_key_has_a_column():
    with pytest.raises(ParameterError, match="expected a key of one column or more"):
        Labels("*.csv", "late", {})


def test_equal_values_are_equal_texts_whatever_their_types():
    columns = (
        pa.array([1, 0]),
        pa.array([1.0, 0.0]),
        pa.array(["1", "0"]),
        pa.array([True, False]),
    )
    assert {tuple(as_text(column).to_pylist()) for column in columns} == {("1", "0")}


def test_what_is_no_number_has_a_text():
    values = pa.array([0.5, float("nan"), float("inf"), None])
    assert as_text(values).to_pylist() == ["0.5", "nan", "inf", None]
