"""Models that were made to run something when they are loaded are not loaded."""

from __future__ import annotations

import json
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from penstock.errors import DataError
from penstock.models import load_model
from penstock.models.flavors import sklearn_flavor
from penstock.models.saving import save_model

ROWS = pa.table({"a": [1.0, 2.0, 3.0], "b": [0.0, 1.0, 0.5]})


@pytest.mark.parametrize(
    ("name", "holds_values"),
    [
        ("sklearn.linear_model._logistic.LogisticRegression", True),
        ("sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor", True),
        ("numpy.float64", True),
        ("numpy.random.mtrand.RandomState", True),
        ("scipy.sparse._csr.csr_matrix", True),
        ("numpy.DataSource", False),
        ("numpy.memmap", False),
        ("numpy.savetxt", False),
        ("numpy.f2py.__main__.main", False),
        ("sklearn.utils._testing.TempMemmap", False),
        ("sklearn.datasets._base.load_files", False),
        ("scipy.io.loadmat", False),
        ("os.system", False),
        ("subprocess.Popen", False),
        ("builtins.eval", False),
        ("sklearn.no_such_module.Thing", False),
    ],
)
def test_classes_that_only_hold_values_are_told_from_others(name, holds_values):
    pytest.importorskip("sklearn", reason="scikit-learn is not installed")
    assert sklearn_flavor._is_data(name) is holds_values


@pytest.fixture
def program(tmp_path) -> Path:
    """The archive of a model of PyTorch that was saved as it should be."""
    torch = pytest.importorskip("torch", reason="PyTorch has an environment of its own")
    save_model(torch.nn.Linear(2, 1), str(tmp_path / "model"), example=ROWS)
    return tmp_path / "model" / "model.pt2"


def rewritten(program: Path, change: Callable[[str, bytes], bytes], **more: bytes) -> str:
    """Write an archive anew with some of its files changed; return the model's folder."""
    with zipfile.ZipFile(program) as archive:
        files = {name: change(name, archive.read(name)) for name in archive.namelist()}
    with zipfile.ZipFile(program, "w") as archive:
        for name, content in {**files, **more}.items():
            archive.writestr(name, content)
    return str(program.parent)


def in_graph(change: Callable[[Any], None]) -> Callable[[str, bytes], bytes]:
    def changed(name: str, content: bytes) -> bytes:
        if not name.endswith("models/model.json"):
            return content
        document = json.loads(content)
        change(document)
        return json.dumps(document).encode()

    return changed


def unchanged(name: str, content: bytes) -> bytes:
    del name
    return content


def test_a_program_that_is_written_anew_as_it_was_is_loaded(program):
    assert load_model(rewritten(program, unchanged)).predict(ROWS).num_rows == 3


@pytest.mark.parametrize(
    "target", ["torch.hub.load", "torch.load", "torch.ops.load_library", "os.system"]
)
def test_a_program_that_calls_what_is_no_operator_is_refused(program, target):
    def change(document: Any) -> None:
        document["graph_module"]["graph"]["nodes"][0]["target"] = target

    with pytest.raises(DataError) as caught:
        load_model(rewritten(program, in_graph(change)))
    assert f"and this one has a call of {target}: it is not loaded" in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('touch hacked')",
        "exit()",
        "open('hacked', 'w')",
        "(lambda: 1)()",
        "s0.__class__",
        "[x for x in (1,)]",
    ],
)
def test_a_program_whose_sizes_are_python_is_refused(program, text):
    def change(document: Any) -> None:
        def walk(value: Any) -> None:
            for key, item in value.items() if isinstance(value, dict) else enumerate(value):
                if key == "expr_str":
                    value[key] = text
                elif isinstance(item, (dict, list)):
                    walk(item)

        walk(document)

    with pytest.raises(DataError) as caught:
        load_model(rewritten(program, in_graph(change)))
    assert f"and this one has the expression {text!r}" in str(caught.value)


def test_guards_of_a_program_are_not_run(program, tmp_path):
    def change(document: Any) -> None:
        document["guards_code"] = [f"open({str(tmp_path / 'hacked')!r}, 'w')"]

    load_model(rewritten(program, in_graph(change))).predict(ROWS)
    assert not (tmp_path / "hacked").exists()


def test_a_program_with_a_compiled_library_is_refused(program):
    with pytest.raises(DataError) as caught:
        load_model(
            rewritten(program, unchanged, **{"m/data/aotinductor/model/wrapper.so": b"\x7fELF"})
        )
    assert "and this one has the file m/data/aotinductor/model/wrapper.so" in str(caught.value)


class Opens:
    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return (open, (self.path, "w"))


def test_a_pickle_among_the_tensors_of_a_program_is_not_unpickled(program, tmp_path):
    hostile = pickle.dumps(Opens(str(tmp_path / "hacked")))

    def change(name: str, content: bytes) -> bytes:
        return hostile if "/sample_inputs/" in name else content

    with pytest.raises(DataError) as caught:
        load_model(rewritten(program, change))
    assert "cannot read the model" in str(caught.value)
    assert not (tmp_path / "hacked").exists()


def test_a_model_of_keras_2_is_loaded_only_for_those_who_trust_it(tmp_path):
    tf_keras = pytest.importorskip("tf_keras", reason="Keras 2 is not installed")
    model = tf_keras.Sequential([tf_keras.layers.Dense(1, input_shape=(2,))])
    save_model(model, str(tmp_path / "model"), example=ROWS)
    with pytest.raises(DataError) as caught:
        load_model(str(tmp_path / "model"))
    assert "whose files can name any function to be called: it is not loaded" in str(caught.value)
    assert load_model(str(tmp_path / "model"), trusted=["tf_keras"]).predict(ROWS).num_rows == 3
