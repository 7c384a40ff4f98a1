"""What plays Kubeflow's backend to pods."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from penstock_support.kubeflow_backend import Backend


@pytest.fixture(scope="module")
def backend(tmp_path_factory) -> Iterator[Backend]:
    """A backend whose pods find the components of tests/support, and S3 for this process too."""
    from penstock_support.kubeflow_backend import playing

    with playing(tmp_path_factory.mktemp("pods")) as started:
        yield started
