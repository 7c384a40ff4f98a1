"""Keeping a lease while its process does something else."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from penstock import _tfx
from penstock.errors import StoreError
from penstock.metadata import turns
from penstock.metadata.databases.patience import Patience, StoreAway
from penstock.metadata.protocol import Store
from penstock.metadata.store import connect
from penstock.metadata.turns import Turn

# A renewal that takes longer is made again.
_LIMIT_SECONDS = 10.0


@dataclass(frozen=True)
class Lease:
    """A turn that is being renewed; `lost` is set if somebody took it for abandoned."""

    turn: Turn
    lost: threading.Event = field(default_factory=threading.Event)

    def is_ours(self, store: Store) -> bool:
        """Ask the store whether nobody has taken it."""
        return turns.is_ours(store, self.turn)


@contextmanager
def kept(connection: _tfx.Connection, turn: Turn) -> Iterator[Lease]:
    """Renew a turn from a thread of its own, over a connection of its own."""
    lease, over = Lease(turn), threading.Event()
    thread = threading.Thread(target=_keep, args=(connection, turn, lease, over), daemon=True)
    thread.start()
    try:
        yield lease
    finally:
        over.set()
        thread.join()


@contextmanager
def held(store: Store, connection: _tfx.Connection, name: str) -> Iterator[Lease]:
    """Hold a lease by its name, which one process has at a time; that of a dead one is taken.

    Raises:
      Held: another process has it.
    """
    last = turns.latest(store, Turn, name)
    if last is not None and last.is_abandoned():
        turns.end(store, last, turns.ABANDONED)
    turn = turns.take(store, Turn, name)
    with turns.in_hand(turn):
        try:
            with kept(connection, turn) as lease:
                yield lease
        finally:
            turns.end(store, turn, "done")


def _keep(connection: _tfx.Connection, turn: Turn, lease: Lease, over: threading.Event) -> None:
    def stop_if_over(_reason: str) -> None:
        if over.is_set():
            raise StoreAway("nobody waits for it")

    patience = Patience(0, _LIMIT_SECONDS, stop_if_over)
    while not over.wait(turns.RENEWAL_SECONDS):
        # A store that cannot be reached now may be there again before the lease's term is over.
        with (
            contextlib.suppress(StoreError, _tfx.ml_metadata.errors.StatusError),
            connect(connection, create=False, patience=patience) as metadata,
        ):
            if not turns.renew(metadata.store, turn):
                lease.lost.set()
                return
