"""A project whose runs others start: a pipeline that waits, fails and counts as it is told."""

from __future__ import annotations

from pathlib import Path

from penstock.project.config import Config, read_config

PIPELINE = '''
import os
import time
from pathlib import Path

from penstock import component, pipeline

print("this is no answer")


@component
def Trains(folder: str, span: int) -> int:
    """Count, wait as long as there is a file `waiting`, fail where there is one `broken`."""
    path = Path(folder, "counts")
    path.mkdir(exist_ok=True)
    Path(path, f"{span}.{len(list(path.glob(f'{span}.*')))}").touch()
    while Path(folder, "waiting").exists():
        time.sleep(0.01)
    if Path(folder, "broken").exists():
        raise ValueError("it is broken")
    return span


@pipeline
def training(folder: str = "", span: int = 0):
    return Trains(folder=folder, span=span)


@pipeline
def other(folder: str = "", span: int = 0):
    return Trains(folder=folder, span=span)
'''

CONFIG = """
default_profile = "here"

[pipelines]
training = "training.py:training"
other = "training.py:other"
gone = "nowhere.py:gone"

[profiles.here]
pipeline_root = "runs"
parallelism = 1

[profiles.here.parameters.training]
folder = "{folder}"
"""


def write(folder: Path, more: str = "") -> Config:
    """Write a project into a folder; `more` is added to its penstock.toml."""
    (folder / "training.py").write_text(PIPELINE)
    (folder / "penstock.toml").write_text(CONFIG.format(folder=folder) + more)
    return read_config(folder / "penstock.toml")


def counts(folder: Path) -> list[str]:
    """Return the spans that were trained on, each as often as it was."""
    return sorted(path.name.partition(".")[0] for path in (folder / "counts").glob("*"))
