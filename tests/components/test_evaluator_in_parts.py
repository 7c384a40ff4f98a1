"""Sums of an evaluation by parts of its files: the same for any parts, and whoever does them."""

from __future__ import annotations

import os

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest

from penstock.components.evaluator import executor, parts
from penstock.data.parallel import choosing, processes, workers
from penstock.data.results import evaluation as results
from penstock.errors import DataError

ROWS = 400
FILES = 5


@pytest.fixture
def files(tmp_path):
    """Files of labels, predictions and a town, of which not every file has each."""
    random = np.random.default_rng(0)
    paths = []
    for number in range(FILES):
        predictions = random.random(ROWS).astype(np.float32)
        table = pa.table(
            {
                "label": (random.random(ROWS) < predictions).astype(np.int64),
                "prediction": predictions,
                "town": [f"town {(number + row) % 3 + number}" for row in range(ROWS)],
            }
        )
        path = tmp_path / f"data_parquet-{number:05d}-of-{FILES:05d}.parquet"
        pyarrow.parquet.write_table(table, path)
        paths.append(str(path))
    return paths


def evaluated(files, folder, method):
    options = {
        "compute_confidence_intervals": True,
        "confidence_intervals": {"method": method},
    }
    config = executor.completed_config(
        {
            "model_specs": [{"label_key": "label", "prediction_key": "prediction"}],
            "slicing_specs": [{}, {"feature_keys": ["town"]}],
            "metrics_specs": [{"metrics": [{"class_name": "AUC"}, {"class_name": "Calibration"}]}],
            "options": options,
        },
        False,
    )
    folder.mkdir()
    told = []
    executor.evaluate_tables(files, config, str(folder), progress=lambda rows: told.append(rows))
    assert told[-1] == ROWS * FILES
    return {
        (one.slice, one.metric): (one.value, one.lower, one.upper)
        for one in results.summarize(str(folder))
    }


@pytest.fixture
def forks(monkeypatch):
    """Let parts be done by forks, and count them."""
    forked = []
    fork = os.fork
    monkeypatch.setattr(choosing, "LARGE_BYTES", 0)
    monkeypatch.setattr(choosing, "_ACCELERATORS", ())
    monkeypatch.setattr(processes, "available_processes", lambda: 3)
    monkeypatch.setattr(workers, "available_processes", lambda: 3)
    monkeypatch.setattr(os, "fork", lambda: forked.append(1) or fork())
    return forked


@pytest.mark.parametrize("method", ["JACKKNIFE", "POISSON_BOOTSTRAP"])
def test_values_and_intervals_do_not_depend_on_the_parts(files, tmp_path, monkeypatch, method):
    whole = evaluated(files, tmp_path / "whole", method)
    monkeypatch.setattr(parts, "PART_BYTES", 1)
    parted = evaluated(files, tmp_path / "parted", method)
    assert parted.keys() == whole.keys()
    assert len({slice_ for slice_, _ in whole}) == 1 + 7
    for key, numbers in whole.items():
        assert parted[key] == pytest.approx(numbers, abs=1e-9)
    assert all(lower is not None for _, lower, _ in whole.values())


def test_forks_give_what_one_process_gives(files, tmp_path, monkeypatch, request):
    monkeypatch.setattr(parts, "PART_BYTES", 1)
    alone = evaluated(files, tmp_path / "alone", "JACKKNIFE")
    forked = request.getfixturevalue("forks")
    assert evaluated(files, tmp_path / "forked", "JACKKNIFE") == alone
    assert len(forked) == 3


def test_a_row_of_a_part_is_told_with_its_file(files, tmp_path, monkeypatch, forks):
    monkeypatch.setattr(parts, "PART_BYTES", 1)
    table = pyarrow.parquet.read_table(files[2])
    labels = table.column("label").to_pylist()
    labels[7] = None
    table = table.set_column(0, "label", pa.array(labels, pa.int64()))
    pyarrow.parquet.write_table(table, files[2])
    with pytest.raises(DataError, match="row 7: expected one label, got none") as raised:
        evaluated(files, tmp_path / "out", "JACKKNIFE")
    assert raised.value.path == files[2]
    assert forks
