"""Remote files that the workers of a Beam runner fetch, so that none passes through the node."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import apache_beam

from penstock.data.parallel.fetching import fetch_one


def fetch_by_job(start: Callable[[], Any], copies: Mapping[str, str]) -> None:
    """Copy remote files to local paths by a job of the pipeline that `start` makes.

    Raises:
      StorageError: a worker cannot reach the store, or is not let in.
      PenstockError: the job has failed.
    """
    with start() as pipeline:
        _ = (
            pipeline
            | apache_beam.Create(list(copies.items()))
            | apache_beam.Reshuffle()
            | apache_beam.Map(fetch_one)
        )
