"""How places are written for people."""

from __future__ import annotations

import os

from penstock.report.wording import from_here


def test_a_path_below_this_folder_is_seen_from_here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert from_here(str(tmp_path / "runs" / "model")) == os.path.join("runs", "model")


def test_a_path_elsewhere_is_as_it_is(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert from_here("/elsewhere/model") == "/elsewhere/model"


def test_an_address_in_an_object_store_keeps_its_slashes():
    assert from_here("minio://mlpipeline/v2/model") == "minio://mlpipeline/v2/model"
