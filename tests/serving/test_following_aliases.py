"""A server follows an alias of the registry, and serves on while the registry is away."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from penstock_support import served_releases as project
from penstock_support.prediction_server import PredictionServer, wait_for

pytestmark = pytest.mark.needs("sklearn", "skops", "uvloop")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[PredictionServer]:
    """A server of a champion; the challenger says the contrary."""
    project.write(tmp_path, "drifting")
    running = project.serve(tmp_path)
    yield running
    if running.process.poll() is None:
        running.end()


def said(server: PredictionServer, row: dict[str, Any]) -> str:
    return server.post("/predict/people", row)[1]["prediction"]


def promote(folder: Path, version: int) -> None:
    done = project.penstock(folder, "model", "alias", f"people@{version}", "champion")
    assert done.returncode == 0, done.stderr


def test_where_an_alias_moves_the_server_goes(
    server: PredictionServer, tmp_path: Path, row: dict[str, Any]
) -> None:
    assert said(server, row) == "stays"
    promote(tmp_path, 2)
    wait_for(lambda: said(server, row) == "leaves", server)
    promote(tmp_path, 1)
    wait_for(lambda: said(server, row) == "stays", server)


def test_a_server_serves_on_while_the_store_is_away(
    server: PredictionServer, tmp_path: Path, row: dict[str, Any]
) -> None:
    os.replace(tmp_path / "metadata.sqlite", tmp_path / "away")
    wait_for(lambda: "there is no metadata store at" in server.log.read_text(), server)
    assert said(server, row) == "stays"
    os.replace(tmp_path / "away", tmp_path / "metadata.sqlite")
    promote(tmp_path, 2)
    wait_for(lambda: said(server, row) == "leaves", server)


def test_a_killed_server_comes_back_while_the_store_is_away(
    server: PredictionServer, tmp_path: Path, row: dict[str, Any]
) -> None:
    server.process.kill()
    server.process.wait()
    os.replace(tmp_path / "metadata.sqlite", tmp_path / "away")
    again = project.serve(tmp_path)
    assert said(again, row) == "stays"
    again.end()


def test_a_version_whose_files_were_altered_never_serves(
    server: PredictionServer, tmp_path: Path, row: dict[str, Any]
) -> None:
    challengers = sorted(tmp_path.rglob("penstock_model.json"))[-1]
    challengers.write_text(challengers.read_text() + " ")
    done = project.penstock(tmp_path, "model", "alias", "people@2", "champion")
    assert done.returncode != 0
    assert said(server, row) == "stays"


def test_a_version_that_is_gone_serves_on(
    server: PredictionServer, tmp_path: Path, row: dict[str, Any]
) -> None:
    shutil.rmtree(tmp_path / "root")
    for _ in range(20):
        assert said(server, row) == "stays"
