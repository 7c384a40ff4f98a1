"""Files in object stores: fsspec's store in memory here, an S3 service in test_remote_s3."""

from __future__ import annotations

import sys
from datetime import UTC, datetime

import fsspec.registry  # noqa: F401
import pytest

from penstock.data.files import remote
from penstock.data.files.fingerprint import fingerprint_files
from penstock.data.spans import RangeConfig, StaticRange, resolve_input
from penstock.data.splits import InputConfig, InputSplit
from penstock.errors import DataError, StorageError


@pytest.fixture
def base(tmp_path):
    """The URL of a folder of the test's own."""
    return f"memory://{tmp_path.name}"


@pytest.fixture
def put(tmp_path, base):
    """Write a remote file below the test's folder."""

    def put(name, content="x"):
        (tmp_path / "uploaded").write_text(content)
        remote.upload(str(tmp_path / "uploaded"), f"{base}/{name}")

    return put


def spans_of(base, pattern, **options):
    found = resolve_input(base, InputConfig((InputSplit("all", pattern),)), **options)
    return found.span, found.version, [remote.relative(base, file) for file in found.files]


@pytest.mark.parametrize("path", ["/folder/file", "file:///folder/file", "relative", "C://x y"])
def test_a_local_path_is_not_remote(path):
    assert remote.is_remote(path) == path.startswith("C")
    assert not remote.is_known(path)


def test_a_folder_lists_its_files_by_name(base, put):
    put("b/two.csv", "22")
    put("a.csv", "1")
    assert [(f.name, f.url, f.size) for f in remote.list_files(base)] == [
        ("a.csv", f"{base}/a.csv", 1),
        ("b/two.csv", f"{base}/b/two.csv", 2),
    ]


def test_a_file_lists_itself(base, put):
    put("a.csv")
    [file] = remote.list_files(f"{base}/a.csv")
    assert (file.name, file.url) == ("", f"{base}/a.csv")


def test_what_is_fetched_has_the_folders_of_the_store(base, put, tmp_path):
    put("b/two.csv", "22")
    to = remote.fetch(base, str(tmp_path / "copy"))
    assert (tmp_path / "copy" / "b" / "two.csv").read_text() == "22"
    assert to == str(tmp_path / "copy")


def test_what_is_not_there_says_where_to_look(base, tmp_path):
    with pytest.raises(DataError, match="no such file or folder in the object store"):
        remote.fetch(base, str(tmp_path / "copy"))


def test_an_unknown_scheme_is_told_with_those_that_are_known():
    with pytest.raises(StorageError, match="abc:// of abc://bucket is not known.*Use s3://, gs://"):
        remote.exists("abc://bucket")


def test_a_missing_library_names_its_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "s3fs", None)
    # It may have been used before, by another test of this process.
    monkeypatch.delitem(sys.modules["fsspec.registry"]._registry, "s3", raising=False)
    with pytest.raises(StorageError, match=r"pip install 'penstock\[s3\]'"):
        remote.exists("minio://bucket/file")


def test_a_pattern_finds_files_of_one_folder(base, put):
    put("a/one.csv")
    put("a/deep/two.csv")
    put("b/three.txt")
    assert spans_of(base, "a/*.csv") == (0, None, ["a/one.csv"])


def test_spans_and_versions_are_found_as_on_disk(base, put):
    for name in ("span-1/v1/x.csv", "span-1/v2/x.csv", "span-2/v1/x.csv", "span-2/v1/.hidden"):
        put(name)
    pattern = "span-{SPAN}/v{VERSION}/*"
    assert spans_of(base, pattern) == (2, 1, ["span-2/v1/x.csv"])
    both = RangeConfig(static_range=StaticRange(1, 2))
    assert spans_of(base, pattern, range_config=both)[2] == ["span-1/v2/x.csv", "span-2/v1/x.csv"]


def test_a_pattern_that_matches_nothing_is_told_with_what_is_there(base, put):
    put("taxi.csv")
    with pytest.raises(DataError, match=r"nothing matches the pattern '\*\.parquet'.*taxi\.csv"):
        spans_of(base, "*.parquet")


def test_a_fingerprint_changes_with_the_content_and_not_with_other_files(base, put):
    put("a/one.csv", "1")
    before = fingerprint_files(base, [f"{base}/a/one.csv"])
    put("a/other.csv", "1")
    assert fingerprint_files(base, [f"{base}/a/one.csv"]) == before
    put("a/one.csv", "2")
    assert fingerprint_files(base, [f"{base}/a/one.csv"]) != before
    assert before.startswith("files:1,bytes:1,")


@pytest.mark.parametrize(
    ("details", "expected"),
    [
        ({"LastModified": datetime(2026, 5, 4, tzinfo=UTC)}, 1777852800.0),
        ({"updated": "2026-05-04T00:00:00.000Z"}, 1777852800.0),
        ({"mtime": 7}, 7.0),
        ({"updated": "soon"}, 0.0),
        ({}, 0.0),
    ],
)
def test_when_an_object_was_written_is_what_its_store_says(details, expected):
    assert remote._modified(details) == expected
