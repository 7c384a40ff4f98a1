"""What a cluster answers: whether anybody does, and what comes of a part."""

from __future__ import annotations

import os
import socket
from typing import Any
from urllib.parse import urlsplit

from penstock.data.parallel.parts import Done, Failed
from penstock.data.parallel.processes import Advance, ChildTracebackError
from penstock.errors import DataError, PenstockError
from penstock.project.clusters import Cluster

_CONNECT_SECONDS = 10.0


def result_of(outcome: Done | Failed, cluster: Cluster, advance: Advance) -> Any:
    """Return what a worker's function has returned.

    Raises:
      Exception: what it has raised there, with the worker's host and traceback as its cause.
    """
    if isinstance(outcome, Done):
        if outcome.advanced:
            advance(outcome.advanced)
        return outcome.result
    error = outcome.error
    path = getattr(error, "path", None) or getattr(error, "filename", None)
    if isinstance(error, FileNotFoundError) and isinstance(path, str) and os.path.exists(path):
        error = DataError(
            f"the file is here, and not on {outcome.host}, which should have read it for {cluster}",
            path=path,
            hint="Workers read the data and write below the pipeline's root: both should be in a "
            "folder that all machines share.",
        )
    raise error from ChildTracebackError(f"on {outcome.host}:\n{outcome.details}")


def check_answers(cluster: Cluster) -> None:
    """Check that somebody answers where a cluster should be, if that is an address.

    Raises:
      PenstockError: nobody does; of several hosts none.
    """
    if cluster.place is not None:
        check_place(str(cluster), cluster.place)


def check_place(what: str, address: str) -> None:
    """Check that somebody answers at an address, which may name several hosts.

    Raises:
      PenstockError: nobody does.
    """
    scheme, separator, places = address.partition("://")
    if not separator:
        scheme, places = "", scheme
    reasons = []
    for place in places.split(","):
        split = urlsplit(f"//{place.partition('://')[2] or place}")
        host, port = split.hostname, split.port
        if host is None or port is None:
            return  # what is meant only the engine knows
        try:
            with socket.create_connection((host, port), timeout=_CONNECT_SECONDS):
                return
        except OSError as error:
            reasons.append(f"{host}:{port}: {error.strerror or error}")
    raise PenstockError(
        f"nobody answers for {what} ({'; '.join(reasons)})",
        hint="Is it running, and the address right?",
    )
