"""An engine for the whole session, kept with its images below the sources."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from penstock_support import docker_engine

FOLDER = Path(__file__).parents[2] / ".docker"


@pytest.fixture(scope="session", autouse=True)
def docker_host() -> Iterator[str]:
    try:
        with docker_engine.engine(FOLDER) as address, pytest.MonkeyPatch.context() as patch:
            patch.setenv("DOCKER_HOST", address)
            yield address
    except docker_engine.NoEngineError as error:
        pytest.exit(f"\nNOTHING WAS PROVED: {error}\n", returncode=1)


@pytest.fixture(scope="session")
def base_image(docker_host) -> str:
    return docker_engine.base_image()
