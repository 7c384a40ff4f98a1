"""A user's code has the Keras that it would have under TFX, whatever starts it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from penstock_support import IMPORT_PATH, PROGRAMS

pytest.importorskip("tfx.components", reason="TFX is not installed")

SCRIPT = PROGRAMS / "keras_seen.py"
BY_TFX = [str(SCRIPT), "tfx"]
BY_SCRIPT = [str(SCRIPT), "ours"]
BY_COMMAND = ["-m", "penstock", "run", f"{SCRIPT}:create_pipeline"]
IN_NOTEBOOK = [str(PROGRAMS / "ipython_cells.py")]
CELLS = (
    "from penstock_support import keras_seen",
    "from penstock.notebook import Session",
    "session = Session('keras')",
    "for node in keras_seen.nodes(): session.run(node)",
)


def keras_of_nodes(folder: Path, command: list[str], **variables: str) -> dict[str, str]:
    """Return the module of Keras' models that each node told."""
    environment = {k: v for k, v in os.environ.items() if k != "TF_USE_LEGACY_KERAS"}
    environment |= {"FOLDER": str(folder), "PYTHONPATH": IMPORT_PATH, **variables}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", *command],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        env=environment,
        input=json.dumps(CELLS),
        timeout=600,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    told = {path.name: path.read_text() for path in folder.glob("told/*")}
    assert set(told) == {"TfxTrainer", "OurTrainer", "Bare"}, done.stdout + done.stderr[-4000:]
    return told


@pytest.fixture(scope="module")
def under_tfx(tmp_path_factory):
    return keras_of_nodes(tmp_path_factory.mktemp("tfx"), BY_TFX)


@pytest.mark.parametrize("command", [BY_SCRIPT, BY_COMMAND, IN_NOTEBOOK])
def test_keras_is_what_it_is_under_tfx(command, under_tfx, tmp_path):
    assert keras_of_nodes(tmp_path, command) == under_tfx


def test_an_import_that_decides_before_tfx_decides_here_as_well(tmp_path_factory):
    theirs, ours, started = (
        keras_of_nodes(tmp_path_factory.mktemp("first"), command, FIRST="transform")
        for command in (BY_TFX, BY_SCRIPT, BY_COMMAND)
    )
    assert theirs == ours == started
    assert all(module.startswith("tf_keras.") for module in theirs.values())


@pytest.mark.parametrize("command", [BY_SCRIPT, BY_COMMAND])
def test_what_the_user_has_set_counts(command, tmp_path):
    told = keras_of_nodes(tmp_path, command, TF_USE_LEGACY_KERAS="1")
    assert all(module.startswith("tf_keras.") for module in told.values())
