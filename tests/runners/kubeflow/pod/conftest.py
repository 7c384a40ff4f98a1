"""What plays Kubeflow's backend to pods."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from penstock_support import IMPORT_PATH

if TYPE_CHECKING:
    from penstock_support.kubeflow_backend import Backend


@pytest.fixture(scope="module")
def backend(tmp_path_factory) -> Iterator[Backend]:
    """A backend whose pods find the components of tests/support, and S3 for this process too."""
    from penstock_support.kubeflow_backend import Backend, s3_service

    with s3_service() as environment, pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        yield Backend(tmp_path_factory.mktemp("pods"), {**environment, "PYTHONPATH": IMPORT_PATH})
