"""What all tests share. Their components are in tests/support, where worker processes find them."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

SUPPORT = Path(__file__).parent / "support"
sys.path.insert(0, str(SUPPORT))


# Tests leave no processes behind: those of daemons say that they want one.
os.environ["PENSTOCK_DAEMON"] = "off"

if "PYTEST_XDIST_WORKER" in os.environ:
    # As when pytest runs in one process: runs start their processes anew, and do not fork this one.
    # Each imports this file first, which is done at once; pytest's own would import all of pytest.
    sys.modules["__main__"].__file__ = str(SUPPORT / "penstock_support" / "main_of_tests.py")


# Whether the test that runs has its runs start all their processes anew.
COLD = pytest.StashKey[bool]()

# They start first, so that the suite's end does not wait for one process that has just begun one.
LONGEST = (
    "surfaces/notebook/test_notebooks.py",
    "interoperability/test_tfx.py",
    "components/test_transform_engines.py",
    "pipelines/test_models.py",
    "pipelines/test_penguins_run.py",
    "pipelines/test_flights_run.py",
    "docs/test_snippets.py",
    "components/test_evaluator_engines.py",
)


def pytest_configure() -> None:
    """Have Keras be that of TFX's processes in this one too, whichever test comes first."""
    from penstock.project import keras

    keras.settle_before_transform()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the longest files before all others."""
    places = {Path(__file__).parent / name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.path, len(places)))


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave files alone that have no test of the core, where those alone are asked for.

    They may import what is not there.
    """
    if config.option.markexpr != "core" or collection_path.suffix != ".py":
        return None
    return True if "pytest.mark.core" not in collection_path.read_text() else None


@pytest.fixture(scope="session", autouse=True)
def _warm_nurseries(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[None]:
    """Lend nurseries to the runs of this process, but those of tests that are marked as cold."""
    from penstock_support.warm_nurseries import WarmNurseries

    folder = tmp_path_factory.mktemp("warm_nurseries")
    with WarmNurseries(folder, lambda: request.config.stash[COLD]).in_use():
        yield


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a test that needs a package of an extra, where that is not installed."""
    from penstock.project.extras import is_installed

    item.config.stash[COLD] = item.get_closest_marker("cold") is not None
    for marker in item.iter_markers("needs"):
        absent = [package for package in marker.args if not is_installed(package)]
        if absent:
            pytest.skip(f"{', '.join(absent)} is not installed")


@pytest.fixture
def run_pipeline(tmp_path: Path) -> Callable[..., Any]:
    """Run a pipeline in a folder of the test's own, silently; failures come back as results."""
    from penstock import LocalRunner
    from penstock.runners.local.display import Silent

    def run(
        pipeline: Any,
        *,
        parallelism: int = 2,
        cache: bool = True,
        run_id: str | None = None,
        **parameters: Any,
    ) -> Any:
        runner = LocalRunner(
            pipeline_root=str(tmp_path / "root"),
            metadata=str(tmp_path / "metadata.sqlite"),
            parallelism=parallelism,
            display=Silent(),
        )
        return runner.run(
            pipeline, parameters=parameters, cache=cache, run_id=run_id, raise_on_failure=False
        )

    return run


@pytest.fixture
def store(tmp_path: Path) -> Any:
    """The metadata store that `run_pipeline` writes, read by the stock ml-metadata client."""
    from penstock.metadata.store import connect, connection_config

    with connect(connection_config(str(tmp_path / "metadata.sqlite"))) as metadata:
        yield metadata.store
