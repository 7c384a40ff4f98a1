"""Removing what can go: marked first, then moved away, then deleted, and last recorded as deleted.

Whoever kills this at any point loses nothing that is needed: what is only marked is found again by
the next removal, and the cache offers nothing that is marked.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime

from penstock import _tfx
from penstock.errors import StorageError, StoreError
from penstock.metadata.garbage.paths import is_plainly_inside
from penstock.metadata.garbage.planning import Collection, Policy, Removal, plan_collection
from penstock.metadata.protocol import Store
from penstock.safety.locks import lock
from penstock.safety.opening import open_below
from penstock.safety.presence import is_there_itself

LOCK_FILE = ".gc.lock"
_ARTIFACT = _tfx.metadata_store_pb2.Artifact
_ARTIFACTS_A_CALL = 500


@dataclass(frozen=True)
class Collected:
    """What was removed, what could not be (with the reason), and the plan as it was at the end."""

    plan: Collection
    removed: tuple[Removal, ...]
    failed: tuple[tuple[Removal, str], ...]

    @property
    def size(self) -> int:
        """The bytes that were freed."""
        return sum(removal.size for removal in self.removed)


def collect(
    store: Store,
    root_of: Callable[[str], str],
    policy: Policy | None = None,
    *,
    now: datetime | None = None,
    watch: Callable[[str], None] = lambda _: None,
) -> Collected:
    """Remove what `plan_collection` finds; `watch` is called before each step.

    Raises:
      StoreError: another removal is at work in one of the roots.
    """
    first = plan_collection(store, root_of, policy, now=now)
    roots = {removal.root for removal in first.removals}
    with _locked(roots):
        planned = plan_collection(store, root_of, policy, now=now)
        _set_state(store, planned.restored, _ARTIFACT.LIVE)
        ours = {r.path: r for r in planned.removals if r.root in roots}
        marked = [r.artifact_id for r in ours.values() if r.artifact_id is not None]
        watch("mark")
        _set_state(store, marked, _ARTIFACT.MARKED_FOR_DELETION)
        watch("look again")
        # A run that began meanwhile may count on what was still live when it looked.
        again = plan_collection(store, root_of, policy, now=now)
        _set_state(store, set(again.restored) & set(marked), _ARTIFACT.LIVE)
        removed, failed = [], []
        still = {removal.path for removal in again.removals}
        for removal in ours.values():
            if removal.path not in still:
                continue
            try:
                _remove(store, removal, watch)
            except (OSError, StorageError) as error:
                failed.append((removal, f"{type(error).__name__}: {error}"))
            else:
                removed.append(removal)
    return Collected(planned, tuple(removed), tuple(failed))


def _remove(store: Store, removal: Removal, watch: Callable[[str], None]) -> None:
    root, path, trash = removal.root, removal.path, removal.trash
    if not is_plainly_inside(trash, trash, root) or not is_plainly_inside(path, path, root):
        raise OSError(f"{path} has moved, or a link has taken its place")
    if path != trash:
        _delete(trash)
        if is_there_itself(path):
            os.makedirs(os.path.dirname(trash), exist_ok=True)
            watch("move")
            os.rename(path, trash)
    watch("delete")
    _delete(trash)
    with suppress(OSError):
        os.rmdir(os.path.dirname(trash))
    if removal.artifact_id is not None:
        with suppress(OSError):
            _remove_empty_execution_folder(root, path)
        watch("record")
        _set_state(store, [removal.artifact_id], _ARTIFACT.DELETED)


def _delete(path: str) -> None:
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path)
    elif is_there_itself(path):
        os.unlink(path)


def _remove_empty_execution_folder(root: str, path: str) -> None:
    """Remove the folder of an execution's output that held several artifacts, or a value's."""
    node, key, execution, *more = os.path.relpath(path, root).split(os.sep)
    if more:
        os.rmdir(os.path.join(root, node, key, execution))


def _set_state(store: Store, artifact_ids: Iterable[int], state: int) -> None:
    ids = sorted(set(artifact_ids))
    for start in range(0, len(ids), _ARTIFACTS_A_CALL):
        artifacts = store.get_artifacts_by_id(ids[start : start + _ARTIFACTS_A_CALL])
        for artifact in artifacts:
            artifact.state = state
        store.put_artifacts(artifacts)


@contextmanager
def _locked(roots: Iterable[str]) -> Iterator[None]:
    """Hold the lock of each root; it goes with the process, however that ends."""
    with ExitStack() as stack:
        for root in sorted(roots):
            try:
                file = stack.enter_context(open_below(root, os.path.join(root, LOCK_FILE), "a"))
                locked = lock(file.fileno(), wait_seconds=0)
            except OSError as error:
                raise StoreError(
                    f"nothing can be removed from {root}, since its lock cannot be taken: {error}"
                ) from error
            if not locked:
                raise StoreError(
                    f"another penstock gc is at work in {root}", hint="Try again when it is done."
                )
        yield
