"""Remote files that the workers of a cluster fetch, so that none of them passes through the node.

They go to a folder that all workers see, as the pipeline's root is.
"""

from __future__ import annotations

import os
import sys
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial

from penstock.data.files import remote
from penstock.data.parallel.workers import Workers
from penstock.errors import DataError, StorageError

Copy = tuple[str, str]
Fetch = Callable[[Mapping[str, str]], None]


def local_copy(path: str, folder: str, fetch: Fetch | None = None) -> str:
    """Return a path as it is, or a copy below a local folder of what is remote.

    Raises:
      DataError: there is nothing.
      StorageError: the store cannot be reached or does not let us in, or the disk is full.
    """
    if not remote.is_remote(path):
        return path
    to = os.path.join(folder, "fetched", path.rstrip("/").rpartition("/")[2])
    fetch_files(remote.copies(path, to), fetch)
    return to


def fetch_files(copies: Mapping[str, str], fetch: Fetch | None = None) -> None:
    """Copy remote files to the local paths that `copies` names for their URLs.

    `fetch` does it elsewhere, if there is one. Where that cannot, as without credentials of its
    own, or where what it writes is not seen here, this process does it, and says so.

    Raises:
      DataError: a file is gone.
      StorageError: the store cannot be reached from here either, or does not let us in.
    """
    if fetch is not None and copies:
        try:
            for target in copies.values():
                os.makedirs(os.path.dirname(target), exist_ok=True)
            fetch(copies)
            for url, target in copies.items():
                if not os.path.exists(target):
                    raise _unseen(url, target)
            sys.stdout.write(f"Workers have fetched {len(copies)} files.\n")
            return
        except (DataError, StorageError) as error:
            sys.stdout.write(f"The node's process fetches the files itself: {error.message}.\n")
    remote.fetch_files(copies, copies.values())


def by_workers(workers: Workers) -> Fetch | None:
    """Return what has workers fetch files, each some; None where they are on this machine.

    They are stopped afterwards.
    """
    return partial(_fetch_by_workers, workers) if workers.elsewhere else None


def _fetch_by_workers(workers: Workers, copies: Mapping[str, str]) -> None:
    with workers:
        fetching = workers.map(
            fetch_one, list(copies.items()), named=lambda copy: f"fetch {copy[0]}"
        )
        sizes = list(fetching)
    for (url, target), size in zip(copies.items(), sizes, strict=True):
        if not os.path.exists(target) or os.path.getsize(target) != size:
            raise _unseen(url, target)


def _unseen(url: str, target: str) -> StorageError:
    return StorageError(
        f"a worker has fetched {url} to {target}, which is not seen here",
        hint="The pipeline's root has to be a folder that all workers share.",
    )


def fetch_one(copy: Copy, _: Callable[[int], None] = lambda _: None) -> int:
    """Fetch one file, which appears when it is whole; return its size in bytes."""
    url, target = copy
    os.makedirs(os.path.dirname(target), exist_ok=True)
    # A worker that was taken for dead may still be at it.
    part = f"{target}.{uuid.uuid4().hex}"
    try:
        remote.fetch_files([url], [part])
        os.replace(part, target)
    finally:
        with suppress(FileNotFoundError):
            os.remove(part)
    return os.path.getsize(target)
