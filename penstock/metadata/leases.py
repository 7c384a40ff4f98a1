"""Keeping an attempt's lease while its process does something else."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from penstock import _tfx
from penstock.errors import StoreError
from penstock.metadata import attempts
from penstock.metadata.store import connect


@dataclass(frozen=True)
class Lease:
    """An attempt's lease; `lost` is set if somebody took the attempt for abandoned."""

    lost: threading.Event = field(default_factory=threading.Event)


@contextmanager
def kept(connection: _tfx.Connection, attempt: attempts.Attempt) -> Iterator[Lease]:
    """Renew an attempt's lease from a thread of its own, over a connection of its own."""
    lease, over = Lease(), threading.Event()
    thread = threading.Thread(target=_keep, args=(connection, attempt, lease, over), daemon=True)
    thread.start()
    try:
        yield lease
    finally:
        over.set()
        thread.join()


def _keep(
    connection: _tfx.Connection, attempt: attempts.Attempt, lease: Lease, over: threading.Event
) -> None:
    while not over.wait(attempts.RENEWAL_SECONDS):
        # A store that cannot be reached now may be there again before the lease's term is over.
        with (
            contextlib.suppress(StoreError, _tfx.ml_metadata.errors.StatusError),
            connect(connection, create=False) as metadata,
        ):
            if not attempts.renew(metadata.store, attempt):
                lease.lost.set()
                return
