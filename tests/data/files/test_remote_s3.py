"""Data, code and pushed models in an S3 service, as a local run sees them."""

from __future__ import annotations

from pathlib import Path

import pytest

from penstock import LocalRunner, pipeline
from penstock.components import CsvExampleGen, ImportSchemaGen, MergeTables
from penstock.components.merge_tables.component import SourceTable
from penstock.components.pusher import remote_versions
from penstock.data.files import remote, tfx_files
from penstock.errors import StorageError
from penstock.testing import Silent
from penstock_support.kubeflow_backend import BUCKET, s3_service

BASE = f"s3://{BUCKET}/data"
SCHEMA = 'feature { name: "a" type: INT }\n'


@pytest.fixture(scope="module")
def s3():
    """An S3 service for this process and those that it starts."""
    with s3_service() as environment, pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        yield environment


@pytest.fixture
def put(s3, tmp_path):
    """Write a text to the service."""

    def put(url, content):
        (tmp_path / "uploaded").write_text(content)
        remote.upload(str(tmp_path / "uploaded"), url)

    return put


@pipeline
def ingesting(base: str = BASE):
    """Everything that reads files which the pipeline names."""
    return [
        CsvExampleGen(input_base=f"{BASE}/csv"),
        ImportSchemaGen(schema_file=f"{BASE}/schema.pbtxt"),
        MergeTables(base=SourceTable("trips"), columns=("a",), input_base=f"{BASE}/tables"),
    ]


def test_a_local_run_reads_from_the_service_and_notices_what_changes(put, tmp_path):
    put(f"{BASE}/csv/one.csv", "a,b\n1,x\n2,y\n3,z\n")
    put(f"{BASE}/schema.pbtxt", SCHEMA)
    put(f"{BASE}/tables/trips.csv", "a,b\n1,2\n")
    runner = LocalRunner(
        pipeline_root=str(tmp_path / "root"),
        metadata=str(tmp_path / "metadata.sqlite"),
        display=Silent(),
    )
    first = runner.run(ingesting)
    [examples] = first.nodes["CsvExampleGen"].outputs["examples"]
    assert examples.get_string_custom_property("input_fingerprint").startswith("files:1,bytes:16,")
    [schema] = first.nodes["ImportSchemaGen"].outputs["schema"]
    assert Path(schema.uri, "schema.pbtxt").read_text() == SCHEMA
    [tables] = first.nodes["MergeTables"].outputs["tables"]
    assert tables.get_int_custom_property("rows_written") == 1
    put(f"{BASE}/csv/one.csv", "a,b\n1,x\n2,y\n4,z\n")
    second = runner.run(ingesting)
    assert {name: node.state.value for name, node in second.nodes.items()} == {
        "CsvExampleGen": "done",
        "ImportSchemaGen": "cached",
        "MergeTables": "cached",
    }


def test_a_model_is_pushed_to_the_service(s3, tmp_path):
    model = tmp_path / "model"
    (model / "variables").mkdir(parents=True)
    (model / "saved_model.pb").write_text("graph")
    (model / "variables" / "data").write_text("weights")
    base = f"minio://{BUCKET}/serving/taxi"
    for _ in range(3):
        pushed = remote_versions.push(str(model), base, version_names="sequential", keep_last=2)
    assert pushed == f"{base}/3"
    assert remote.names(base) == ["2", "3"]
    assert {f.name for f in remote.list_files(pushed)} == {"saved_model.pb", "variables/data"}


def test_tfxs_own_code_opens_copies_and_lists_what_is_remote(put, tmp_path):
    from tfx.dsl.io import fileio

    put(f"{BASE}/tfx/folder/one", "1")
    tfx_files.register()
    url = f"minio://{BUCKET}/data/tfx"
    fileio.copy(f"{url}/folder/one", str(tmp_path / "copy"))
    assert (tmp_path / "copy").read_text() == "1"
    fileio.makedirs(f"{url}/other")
    with fileio.open(f"{url}/other/two", "w") as file:
        file.write("22")
    assert fileio.listdir(url) == ["folder", "other"]
    assert fileio.glob(f"{url}/*/*") == [f"{url}/folder/one", f"{url}/other/two"]
    assert fileio.isdir(url)
    assert not fileio.exists(f"{url}/third")
    assert list(fileio.walk(f"{url}/other")) == [(f"{url}/other", [], ["two"])]
    fileio.rmtree(url)
    assert not fileio.exists(url)


def test_a_wrong_key_is_told_with_the_names_of_the_variables(s3, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with pytest.raises(StorageError, match="cannot list minio://nowhere.*AWS_ENDPOINT_URL says"):
        remote.list_files("minio://nowhere/at/all")
