"""Artifacts in object stores: what counts as their contents, and whether they are still intact."""

from __future__ import annotations

import pytest

from penstock import _tfx
from penstock.artifacts import Model
from penstock.data.files import remote
from penstock.execution import contents


@pytest.fixture
def model(tmp_path):
    """A model of four bytes that was measured here and then uploaded."""
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "weights").write_text("four")
    artifact = Model()
    artifact.uri = str(folder)
    contents.record(artifact.mlmd_artifact)
    artifact.mlmd_artifact.state = _tfx.metadata_store_pb2.Artifact.LIVE
    artifact.uri = f"memory://{tmp_path.name}/model"
    remote.upload(str(folder / "weights"), f"{artifact.uri}/weights")
    return artifact


def test_an_uploaded_artifact_is_intact(model):
    assert contents.damage(model) == ""


def test_an_artifact_whose_objects_are_gone_is_not(model):
    remote.remove(model.uri)
    assert contents.damage(model) == f"{model.uri} is gone"


def test_an_artifact_with_another_number_of_bytes_is_not(model, tmp_path):
    (tmp_path / "more").write_text("12345")
    remote.upload(str(tmp_path / "more"), f"{model.uri}/weights")
    assert contents.damage(model) == f"{model.uri} was changed"


def test_an_artifact_that_cannot_be_looked_at_is_not(model, monkeypatch):
    def refuse(url):
        raise contents.StorageError(f"cannot list {url}")

    monkeypatch.setattr(remote, "list_files", refuse)
    assert contents.damage(model) == f"cannot list {model.uri}."


def test_an_address_of_a_scheme_that_nobody_knows_says_nothing(model):
    model.uri = "bigquery://project.table"
    assert contents.damage(model) == ""


def test_equal_contents_have_one_fingerprint_wherever_they_are(model):
    before = contents.fingerprint(model)
    model.uri = model.uri.replace("model", "other")
    assert contents.fingerprint(model) == before


def test_the_fingerprint_of_an_artifact_of_others_changes_with_its_objects(model, tmp_path):
    del model.mlmd_artifact.custom_properties["content_digest"]
    before = contents.fingerprint(model)
    assert contents.fingerprint(model) == before
    (tmp_path / "more").write_text("12345")
    remote.upload(str(tmp_path / "more"), f"{model.uri}/weights")
    assert contents.fingerprint(model) != before
