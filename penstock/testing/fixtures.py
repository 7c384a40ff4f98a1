"""Fixtures of pytest for tests that say `pytest_plugins = ["penstock.testing.fixtures"]`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from penstock.runners.local import LocalRunner
from penstock.runners.local.display import Silent


@pytest.fixture(scope="session")
def run_pipeline(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Any]:
    """A function that runs a pipeline, silently, in a folder and a store of the tests' own.

    It takes the pipeline and its parameters. What was run before with the same ones comes from the
    cache; with `fresh=True` everything is done anew.
    """
    folder = tmp_path_factory.mktemp("penstock")

    def run(pipeline: Any, *, fresh: bool = False, **parameters: Any) -> Any:
        runner = LocalRunner(
            pipeline_root=str(folder / "root"),
            metadata=str(folder / "metadata.sqlite"),
            display=Silent(),
        )
        return runner.run(pipeline, parameters=parameters, cache=not fresh)

    return run
