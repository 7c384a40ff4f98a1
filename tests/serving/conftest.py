"""Models to serve, and servers that are started as users start them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from penstock.models import save_model
from penstock_support.prediction_server import PredictionServer, start_server

COLUMNS = ("age", "income")


def people(rows: int = 200) -> pa.Table:
    random = np.random.default_rng(5)
    return pa.table(
        {
            "age": pa.array(random.integers(18, 90, rows), pa.int64()),
            "income": pa.array(random.lognormal(10, 1, rows), pa.float64()),
        }
    )


def save_classifier(folder: Path, *, turned: bool = False) -> Path:
    """Save a classifier of who stays; one that is turned says the contrary."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    rows = people()
    older = np.asarray(rows.column("age")) > 50
    labels = np.where(older ^ turned, "stays", "leaves")
    model = make_pipeline(StandardScaler(), LogisticRegression())
    model.fit(np.column_stack([rows.column(name) for name in COLUMNS]), labels)
    folder.mkdir(parents=True)
    save_model(model, str(folder), example=rows.slice(0, 5))
    return folder


@pytest.fixture(scope="session")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two versions of a classifier, of which the second says the contrary."""
    folder = tmp_path_factory.mktemp("saved")
    save_classifier(folder / "1")
    save_classifier(folder / "2", turned=True)
    return folder


@pytest.fixture
def versions(saved: Path, tmp_path: Path) -> Path:
    """A folder of versions that has the first."""
    folder = tmp_path / "people"
    shutil.copytree(saved / "1", folder / "1")
    return folder


@pytest.fixture
def add(saved: Path, versions: Path) -> Callable[..., None]:
    """Push the second version, or a copy of one under another number."""

    def push(number: int = 2, of: int = 2) -> None:
        shutil.copytree(saved / str(of), versions / f".part-{number}")
        os.replace(versions / f".part-{number}", versions / str(number))

    return push


@pytest.fixture
def start(tmp_path: Path, versions: Path) -> Iterator[Callable[..., PredictionServer]]:
    """Start a server of the folder of versions, and wait until it answers."""
    started: list[PredictionServer] = []

    def begin(*arguments: str, ready: bool = True, **environment: str) -> PredictionServer:
        server = start_server(tmp_path, str(versions), *arguments, **environment)
        started.append(server)
        if ready:
            server.wait_until_ready()
        return server

    yield begin
    for server in started:
        if server.process.poll() is None:
            server.process.kill()
            server.process.wait()


@pytest.fixture(scope="module")
def server(saved: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PredictionServer]:
    """A server of one version, for tests that leave it as it is."""
    folder = tmp_path_factory.mktemp("server")
    running = start_server(folder, f"people={saved / '1'}")
    running.wait_until_ready()
    yield running
    running.end()


@pytest.fixture
def row() -> dict[str, Any]:
    return {"age": 70, "income": 20_000.0}
