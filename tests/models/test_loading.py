"""What is refused: pickles, folders of something else, facts that are broken or too new."""

from __future__ import annotations

import json
import pickle

import pytest

from penstock.errors import DataError
from penstock.models import load_model
from penstock.models.facts import FACTS_FILE


@pytest.mark.parametrize("name", ["model.pkl", "model.joblib", "model.pt"])
def test_a_pickle_is_refused_with_the_way_out(tmp_path, name):
    (tmp_path / name).write_bytes(pickle.dumps([1]))
    with pytest.raises(DataError) as caught:
        load_model(str(tmp_path))
    assert f"{name} is a pickle, which runs code when it is loaded: it is not loaded" in str(
        caught.value
    )
    assert "penstock.models.save_model(model, directory, example=rows)" in str(caught.value)


def test_a_folder_of_something_else_is_told(tmp_path):
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(DataError) as caught:
        load_model(str(tmp_path))
    assert "expected a model of one of the flavors" in str(caught.value)
    assert "and the folder has notes.txt" in str(caught.value)


def test_no_folder_is_told(tmp_path):
    with pytest.raises(DataError) as caught:
        load_model(str(tmp_path / "none"))
    assert "expected the folder of a model, found none" in str(caught.value)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("{", "expected the facts of a model, as Penstock writes them"),
        ("[]", "expected the facts of a model, as Penstock writes them"),
        (json.dumps({"format": 99}), "the model was saved by a newer Penstock"),
        (
            json.dumps(
                {
                    "format": 1,
                    "flavor": "sklearn",
                    "signature": {"inputs": [{"name": "a", "type": "date"}], "outputs": []},
                    "packages": {},
                    "details": {},
                    "example": None,
                }
            ),
            "should have one of the types",
        ),
    ],
)
def test_broken_facts_are_told(tmp_path, content, expected):
    (tmp_path / FACTS_FILE).write_text(content)
    with pytest.raises(DataError) as caught:
        load_model(str(tmp_path))
    assert expected in str(caught.value)


@pytest.mark.parametrize("name", ["model.skops", "model.xgboost.json", "model.lightgbm.txt"])
def test_a_broken_model_is_told_with_its_file(tmp_path, name):
    for module in ("sklearn", "xgboost", "lightgbm"):
        pytest.importorskip(module, reason=f"{module} is not installed")
    (tmp_path / name).write_bytes(b"no model")
    with pytest.raises(DataError) as caught:
        load_model(str(tmp_path))
    assert "cannot read the model" in str(caught.value)
    assert name in str(caught.value)
