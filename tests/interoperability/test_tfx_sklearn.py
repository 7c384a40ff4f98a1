"""TFX's own scikit-learn example, unchanged: its pipeline, its training code, its pickle."""

from __future__ import annotations

import csv
import importlib.util
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

from penstock.errors import DataError
from penstock.models import load_model
from penstock.pipelines.penguins.data import package_file

pytest.importorskip("sklearn", reason="scikit-learn is not installed")

EXAMPLE = "tfx.examples.penguin.experimental.penguin_pipeline_sklearn_local"
SPECIES = ("Adelie", "Chinstrap", "Gentoo")
COLUMNS = {
    "culmen_length_mm": "bill_length_mm",
    "culmen_depth_mm": "bill_depth_mm",
    "flipper_length_mm": "flipper_length_mm",
    "body_mass_g": "body_mass_g",
}
RUN = f"""
import sys
from {EXAMPLE} import _create_pipeline
from penstock import LocalRunner

if __name__ == "__main__":
    folder, module = sys.argv[1:]
    pipeline = _create_pipeline(
        pipeline_name="penguin_sklearn",
        pipeline_root=f"{{folder}}/root",
        data_root=f"{{folder}}/data",
        trainer_module_file=module,
        evaluator_module_file="",
        serving_model_dir=f"{{folder}}/serving",
        metadata_path=f"{{folder}}/metadata.sqlite",
        beam_pipeline_args=[],
    )
    LocalRunner().run(pipeline)
"""


def write_penguins(path: Path) -> None:
    """Write the measurements from 0 to 1 and a number for the species, as TFX's data are."""
    with package_file().open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if "NA" not in row.values()]
    bounds = {
        name: (min(float(r[own]) for r in rows), max(float(r[own]) for r in rows))
        for name, own in COLUMNS.items()
    }
    path.parent.mkdir(parents=True)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["species", *COLUMNS])
        for row in rows:
            scaled = [
                (float(row[own]) - bounds[name][0]) / (bounds[name][1] - bounds[name][0])
                for name, own in COLUMNS.items()
            ]
            writer.writerow([SPECIES.index(row["species"]), *scaled])


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("sklearn")
    write_penguins(folder / "data" / "labelled" / "penguins.csv")
    package = importlib.util.find_spec(EXAMPLE)
    module = Path(package.origin).with_name("penguin_utils_sklearn.py")
    (folder / "run.py").write_text(RUN)
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "run.py", str(folder), str(module)],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    return folder


def test_it_trains_and_pushes(folder):
    (version,) = (folder / "serving").glob("[0-9]*")
    with (version / "model.pkl").open("rb") as file:
        model = pickle.load(file)
    assert model.predict([[0.2, 0.7, 0.2, 0.2]]).tolist() == [0]


def test_its_pickle_is_not_loaded_by_us(folder):
    (version,) = (folder / "serving").glob("[0-9]*")
    with pytest.raises(DataError) as caught:
        load_model(str(version))
    assert "model.pkl is a pickle, which runs code when it is loaded" in str(caught.value)
