"""A project that is deployed, and a look into the store that it is deployed to.

What several tests begin with is made once; each has a copy of it.
"""

from __future__ import annotations

from multiprocessing import resource_tracker
from pathlib import Path

import pytest

from penstock.metadata.store import connect
from penstock.operations.delivery.deploying import deploy
from penstock_support import delivered_project as project
from penstock_support.delivered_project import GOOD, deploying, wanted
from penstock_support.processes import MARK
from penstock_support.states import States


@pytest.fixture(scope="session")
def states(tmp_path_factory) -> States:
    return States(tmp_path_factory.mktemp("delivered"))


@pytest.fixture
def folder(states, monkeypatch) -> Path:
    """The folder of the project, in which nothing is left of other tests."""
    resource_tracker.ensure_running()  # it stays until the session ends, and works on no folder
    monkeypatch.setenv(MARK, states.mark)
    return states.empty()


@pytest.fixture
def config(folder):
    return project.write(folder)


@pytest.fixture
def look(config):
    """Return a function that reads something of the production store."""

    def read(function, *arguments):
        with connect(deploying(config).connection) as metadata:
            return function(metadata.store, *arguments)

    return read


@pytest.fixture
def deployed(config, states) -> None:
    """Have the project be deployed, under the fingerprint f1."""
    states.bring_to("deployed", lambda: deploy_first(config))


@pytest.fixture
def improved(config, folder, states) -> None:
    """Have it be deployed a second time, under f2, with a model that is better."""

    def make() -> None:
        states.bring_to("deployed", lambda: deploy_first(config))
        project.set_quality(folder, {**GOOD, "Overall": 0.95})
        deploy(deploying(config), wanted("f2"))

    states.bring_to("improved", make)


def deploy_first(config) -> None:
    deploy(deploying(config), wanted("f1"))
