"""Components that are defined in an interactive session, which no other process can import."""

from __future__ import annotations

import subprocess
import sys

import pytest

SESSION = """
from penstock import LocalRunner, Output, component, pipeline
from penstock.artifacts import Model
from penstock.runners.local.display import Silent

@component
def Make(model: Output[Model], count: int = 2) -> int:
    return count * {factor}

@pipeline
def making(count: int = 3):
    return Make(count=count)

result = LocalRunner(display=Silent()).run(making)
artifact = result.output("Make", "output")
artifact.read()
print(result.nodes["Make"].state.value, artifact.value)
"""


@pytest.fixture
def session(tmp_path):
    def run(factor: int) -> list[str]:
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-"],
            input=SESSION.format(factor=factor),
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.split()

    return run


def test_a_component_of_the_session_runs(session):
    assert session(2) == ["done", "6"]


def test_it_is_cached_until_it_is_changed(session):
    session(2)
    assert session(2) == ["cached", "6"]
    assert session(3) == ["done", "9"]
