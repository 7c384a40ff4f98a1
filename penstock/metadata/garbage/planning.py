"""What can be removed of what runs have left, and why the rest is kept.

An execution's outputs are kept or removed together: the cache can use them only together. Kept
are all ancestors of served, of registered and of blessed models, all that the newest runs of each
pipeline made or used, and what is too young. A path is removed only where the store and the folders
agree about it: `{root}/{node}/{key}/{execution}` of an execution of this node.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from penstock.metadata import layout
from penstock.metadata.garbage.paths import (
    REMOVING,
    and_parents,
    came_to_be,
    disk_size,
    folders,
    is_plainly_inside,
    may_be_there,
    normal,
    trash_of,
)
from penstock.metadata.garbage.relevant import TooMuchError, read_relevant
from penstock.metadata.garbage.snapshot import (
    FINAL_STATES,
    LEFTOVER_AGE,
    MAY_STILL_RUN,
    Snapshot,
    makers_of,
    pipelines_of,
    read_snapshot,
    went_well,
)
from penstock.metadata.protocol import Store
from penstock.metadata.reading import ArtifactRecord, Link, Place

_FOLDERS = 1000

IN_PROGRESS = "a run of its pipeline is in progress"
SERVED = "a served model descends from it"
REGISTERED = "a registered model descends from it"
BLESSED = "a blessed model descends from it"
NEWEST_RUNS = "one of the newest runs of a pipeline made or used it"
YOUNG = "it is too young"
WITH_OTHERS = "another output of its execution is kept"
SHARED = "another artifact that is kept has its path"
NOT_A_RUN_S = "no run made it"
OUTSIDE = "it is outside of its pipeline's root"
NOT_HERE = "its files are not on this machine"
NO_ROOT = "its pipeline's root is not there"
IN_ANOTHER_STATE = "it is neither live nor marked"

AGED = "artifacts of runs that are neither new nor needed"
INTERRUPTED = "artifacts whose removal was begun before"
STAGED = "what executions that are over left half-written"
UNREFERENCED = "folders that no artifact refers to"
KEPT = "what a node that failed has kept for its next try"
LOGS = "logs of runs that have nothing left"


@dataclass(frozen=True)
class Policy:
    """What is worth keeping: the newest runs of each pipeline, and what is younger than an age."""

    keep_last: int = 3
    older_than: timedelta = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Removal:
    """A path to remove, with its artifact if it has one; it need not exist any more."""

    path: str
    root: str
    reason: str
    size: int
    pipeline_name: str
    artifact_id: int | None = None
    trash: str = ""


@dataclass(frozen=True)
class Collection:
    """What would be removed, and the artifacts that are kept, by reason.

    `restored` are artifacts whose removal was begun before, and that are needed after all.
    """

    removals: tuple[Removal, ...] = ()
    kept: Mapping[str, tuple[ArtifactRecord, ...]] = field(default_factory=dict)
    restored: tuple[int, ...] = ()
    runs_in_progress: tuple[str, ...] = ()

    @property
    def size(self) -> int:
        """The bytes of all that would be removed."""
        return sum(removal.size for removal in self.removals)


def plan_collection(
    store: Store,
    root_of: Callable[[str], str],
    policy: Policy | None = None,
    *,
    now: datetime | None = None,
) -> Collection:
    """Return what can be removed from a store and from the roots of its pipelines.

    `root_of` returns the root of the pipeline of a name. Nothing is changed.
    """
    policy, now = policy or Policy(), now or datetime.now()
    return plan_from(_read(store, root_of, policy, now), root_of, policy, now)


def plan_from(
    snapshot: Snapshot, root_of: Callable[[str], str], policy: Policy, now: datetime
) -> Collection:
    """Return what can be removed by what a store was found to say."""
    return _Planning(snapshot, root_of, policy, now).plan()


def _read(store: Store, root_of: Callable[[str], str], policy: Policy, now: datetime) -> Snapshot:
    try:
        return read_relevant(
            store, root_of, keep_last=policy.keep_last, older_than=policy.older_than, now=now
        )
    except TooMuchError:
        return read_snapshot(store, now)


class _Planning:
    """The decisions, one after the other."""

    def __init__(
        self,
        snapshot: Snapshot,
        root_of: Callable[[str], str],
        policy: Policy,
        now: datetime,
    ) -> None:
        self.snapshot = snapshot
        self.policy = policy
        self.now = now
        self._real_folder = functools.lru_cache(maxsize=_FOLDERS)(os.path.realpath)
        self.makers = makers_of(snapshot.links, snapshot.executions)
        self.inputs: dict[int, list[int]] = {}
        self.outputs: dict[int, list[Link]] = {}
        for link in snapshot.links:
            if link.is_output:
                self.outputs.setdefault(link.execution_id, []).append(link)
            else:
                self.inputs.setdefault(link.execution_id, []).append(link.artifact_id)
        names = {pipeline for pipeline, _ in snapshot.nodes} - {""}
        self.roots = {name: os.path.normpath(root_of(name)) for name in sorted(names)}
        self.runs = self._runs()
        self.in_progress = {run for run in self.runs if self._is_in_progress(run)}
        self.busy_pipelines = {
            self.snapshot.places[e].pipeline_name for r in self.in_progress for e in self.runs[r]
        }
        if snapshot.lone_runs:
            # A run that has only begun has not said yet which pipeline it is of.
            self.busy_pipelines = set(self.roots)

    def plan(self) -> Collection:
        reasons = self._reasons_to_keep()
        candidates = {
            a: record
            for a, record in self.snapshot.artifacts.items()
            if a not in reasons and record.state != "deleted"
        }
        self._keep_what_shares_a_path(candidates, reasons)
        self._keep_whole_executions(candidates, reasons)
        removals = [self._removal(a) for a in sorted(candidates)]
        going = {r.artifact_id for r in removals}
        removals += self._leftovers(going)
        kept: dict[str, list[ArtifactRecord]] = {}
        for artifact_id, reason in sorted(reasons.items()):
            kept.setdefault(reason, []).append(self.snapshot.artifacts[artifact_id])
        restored = tuple(
            artifact.artifact_id
            for artifacts in kept.values()
            for artifact in artifacts
            if artifact.state == "marked for deletion" and may_be_there(artifact.uri)
        )
        return Collection(
            tuple(removals),
            {reason: tuple(artifacts) for reason, artifacts in kept.items()},
            restored,
            tuple(sorted({*self.in_progress, *self.snapshot.lone_runs})),
        )

    def _runs(self) -> dict[str, list[int]]:
        """Return the executions of each run, the oldest run first."""
        runs: dict[str, list[int]] = {}
        for execution_id in sorted(self.snapshot.executions):
            run_id = self.snapshot.places.get(execution_id, Place()).run_id
            if run_id:
                runs.setdefault(run_id, []).append(execution_id)
        return runs

    def _is_in_progress(self, run_id: str) -> bool:
        executions = [self.snapshot.executions[e] for e in self.runs[run_id]]
        state = self.snapshot.run_states.get(run_id, "")
        if run_id in self.snapshot.held_runs:
            return True
        if state in FINAL_STATES:
            return False
        if state or any(e.is_open for e in executions):
            return True
        return self.now - max(e.changed for e in executions) < MAY_STILL_RUN

    def _reasons_to_keep(self) -> dict[int, str]:
        """Return why artifacts are kept; the strongest reason counts."""
        artifacts = self.snapshot.artifacts
        reasons: dict[int, str] = {}
        # What was moved away before cannot be kept any more.
        gone = {
            a
            for a, record in artifacts.items()
            if record.state == "deleted"
            or (
                record.state == "marked for deletion"
                and not may_be_there(record.uri)
                and self._untouchable(record) is None
            )
        }

        def keep(ids: Iterable[int], reason: str) -> None:
            for artifact_id in ids:
                if artifact_id in artifacts and artifact_id not in gone:
                    reasons.setdefault(artifact_id, reason)

        keep(self._ancestors(self.snapshot.served), SERVED)
        keep(self._ancestors(self.snapshot.registered), REGISTERED)
        keep(self._ancestors(self.snapshot.blessed), BLESSED)
        for artifact_id, record in artifacts.items():
            if self._pipelines_of(artifact_id) & self.busy_pipelines:
                keep([artifact_id], IN_PROGRESS)
            elif (reason := self._untouchable(record)) is not None:
                keep([artifact_id], reason)
        for run_id in self.in_progress:
            keep(self._touched(run_id), IN_PROGRESS)
        for run_id in self._newest_runs():
            keep(self._touched(run_id), NEWEST_RUNS)
        for run_id, executions in self.runs.items():
            changed = max(self.snapshot.executions[e].changed for e in executions)
            if self.now - changed < self.policy.older_than:
                keep(self._touched(run_id), YOUNG)
        for artifact_id, record in artifacts.items():
            if self.now - record.created < self.policy.older_than:
                keep([artifact_id], YOUNG)
        return reasons

    def _ancestors(self, artifact_ids: Iterable[int]) -> set[int]:
        waiting = list(artifact_ids)
        ancestors: set[int] = set()
        while waiting:
            artifact_id = waiting.pop()
            if artifact_id in ancestors:
                continue
            ancestors.add(artifact_id)
            for maker in self.makers.get(artifact_id, ()):
                waiting += self.inputs.get(maker, ())
        return ancestors

    def _pipelines_of(self, artifact_id: int) -> set[str]:
        return pipelines_of(self.makers.get(artifact_id, ()), self.snapshot.places)

    def _untouchable(self, record: ArtifactRecord) -> str | None:
        """Return why an artifact is none of ours to remove."""
        if record.state not in ("live", "marked for deletion"):
            return IN_ANOTHER_STATE
        links = [
            (link, self.snapshot.places.get(maker, Place()))
            for maker in self.makers.get(record.artifact_id, ())
            for link in self.outputs.get(maker, ())
            if link.artifact_id == record.artifact_id
        ]
        if len(links) != 1 or not links[0][1].node_id or record.properties.get("is_external") == 1:
            return NOT_A_RUN_S
        [(link, place)] = links
        root = self.roots.get(place.pipeline_name, "")
        if not os.path.isdir(root):
            return NO_ROOT
        folder = os.path.join(root, place.node_id, link.key, str(link.execution_id))
        if not is_plainly_inside(record.uri, folder, root, self._real):
            return OUTSIDE
        is_here = record.state == "marked for deletion" or os.path.lexists(record.uri)
        return None if is_here else NOT_HERE

    def _real(self, path: str) -> str:
        """Return a path without links; most are in folders that others are in too."""
        real = os.path.join(self._real_folder(os.path.dirname(path)), os.path.basename(path))
        return os.path.realpath(real) if os.path.islink(real) else real

    def _touched(self, run_id: str) -> set[int]:
        """Return all artifacts that the executions of a run made, found or were given."""
        artifact_ids: set[int] = set()
        for execution_id in self.runs[run_id]:
            artifact_ids.update(self.inputs.get(execution_id, ()))
            artifact_ids.update(link.artifact_id for link in self.outputs.get(execution_id, ()))
        return artifact_ids

    def _newest_runs(self) -> list[str]:
        """Return the newest runs of each pipeline, and the newest of those that went well."""
        by_pipeline: dict[str, list[str]] = {}
        for run_id, executions in self.runs.items():
            name = self.snapshot.places[executions[0]].pipeline_name
            by_pipeline.setdefault(name, []).append(run_id)
        newest: list[str] = []
        for runs in by_pipeline.values() if self.policy.keep_last > 0 else ():
            done = [run_id for run_id in runs if self._went_well(run_id)]
            newest += runs[-self.policy.keep_last :] + done[-self.policy.keep_last :]
        return list(dict.fromkeys(newest))

    def _went_well(self, run_id: str) -> bool:
        executions = [self.snapshot.executions[e] for e in self.runs[run_id]]
        return went_well(self.snapshot.run_states.get(run_id, ""), executions)

    def _keep_what_shares_a_path(
        self, candidates: dict[int, ArtifactRecord], reasons: dict[int, str]
    ) -> None:
        kept = {normal(self.snapshot.artifacts[a].uri) for a in reasons}
        above_kept = {parent for uri in kept for parent in and_parents(uri)}
        for artifact_id, record in list(candidates.items()):
            uri = normal(record.uri)
            if uri in above_kept or any(parent in kept for parent in and_parents(uri)):
                del candidates[artifact_id]
                reasons[artifact_id] = SHARED

    def _keep_whole_executions(
        self, candidates: dict[int, ArtifactRecord], reasons: dict[int, str]
    ) -> None:
        for artifact_id in list(candidates):
            siblings = {
                link.artifact_id
                for maker in self.makers[artifact_id]
                for link in self.outputs.get(maker, ())
            }
            is_gone = not may_be_there(candidates[artifact_id].uri)
            weak = (None, WITH_OTHERS, NOT_HERE)
            if not is_gone and any(reasons.get(s) not in weak for s in siblings):
                del candidates[artifact_id]
                reasons[artifact_id] = WITH_OTHERS

    def _removal(self, artifact_id: int) -> Removal:
        record = self.snapshot.artifacts[artifact_id]
        place = self.snapshot.places[self.makers[artifact_id][0]]
        root = self.roots[place.pipeline_name]
        trash = trash_of(root, place.node_id, artifact_id)
        return Removal(
            normal(record.uri),
            root,
            INTERRUPTED if record.state == "marked for deletion" else AGED,
            disk_size(record.uri) + disk_size(trash),
            place.pipeline_name,
            artifact_id,
            trash,
        )

    def _leftovers(self, going: set[int | None]) -> Iterator[Removal]:
        uris = {
            normal(record.uri)
            for record in self.snapshot.artifacts.values()
            if record.state != "deleted"
        }
        recorded = {parent for uri in uris for parent in and_parents(uri)}
        by_node: dict[tuple[str, str], list[int]] = {node: [] for node in self.snapshot.nodes}
        for execution_id, place in self.snapshot.places.items():
            by_node.setdefault((place.pipeline_name, place.node_id), []).append(execution_id)
        for (pipeline, node_id), executions in sorted(by_node.items()):
            if not pipeline or not node_id:
                continue
            root = self.roots[pipeline]
            if pipeline in self.busy_pipelines:
                continue
            yield from self._trash(root, pipeline, node_id, going)
            node_folder = os.path.join(root, node_id)
            if all(map(self._is_long_over, executions)):
                kept = layout.kept_folder(node_folder)
                if folders(kept) and self._is_of(kept, root, min(executions)):
                    yield self._leftover(kept, root, pipeline, node_id, KEPT)
            keys = folders(node_folder)
            for execution_id in sorted(executions):
                if not self._is_long_over(execution_id):
                    continue
                staging, _ = layout.working_folders(node_folder, execution_id)
                if self._is_of(staging, root, execution_id):
                    yield self._leftover(staging, root, pipeline, node_id, STAGED)
                for key in keys:
                    folder = os.path.join(node_folder, key, str(execution_id))
                    is_known = folder in recorded or any(p in uris for p in and_parents(folder))
                    if not is_known and self._is_of(folder, root, execution_id):
                        yield self._leftover(folder, root, pipeline, node_id, UNREFERENCED)
        yield from self._logs(going)

    def _is_there(self, artifact_id: int) -> bool:
        """Whether an artifact is not deleted; of those that are, not all have been read."""
        record = self.snapshot.artifacts.get(artifact_id)
        return record is not None and record.state != "deleted"

    def _leftover(self, path: str, root: str, pipeline: str, node_id: str, reason: str) -> Removal:
        name = "-".join(Path(path).parts[-2:])
        trash = os.path.join(root, node_id, layout.SYSTEM, REMOVING, name)
        return Removal(path, root, reason, disk_size(path), pipeline, None, trash)

    def _trash(
        self, root: str, pipeline: str, node_id: str, going: set[int | None]
    ) -> Iterator[Removal]:
        """Yield what an earlier removal had moved away and not deleted yet."""
        folder = os.path.join(root, node_id, layout.SYSTEM, REMOVING)
        for name in folders(folder):
            path = os.path.join(folder, name)
            is_an_artifact_s = name.isdecimal() and int(name) in going
            if not is_an_artifact_s and is_plainly_inside(path, path, root):
                yield Removal(path, root, INTERRUPTED, disk_size(path), pipeline, None, path)

    def _is_long_over(self, execution_id: int) -> bool:
        execution = self.snapshot.executions[execution_id]
        return not execution.is_open and self.now - execution.changed > LEFTOVER_AGE

    def _is_of(self, path: str, root: str, execution_id: int) -> bool:
        """Return whether a folder came after its execution, and not from an earlier store."""
        if not os.path.isdir(path) or not is_plainly_inside(path, path, root):
            return False
        began = self.snapshot.executions[execution_id].create_time_since_epoch / 1000
        age = self.now - datetime.fromtimestamp(os.lstat(path).st_mtime)
        return came_to_be(path) >= began - 1 and age > LEFTOVER_AGE

    def _logs(self, going: set[int | None]) -> Iterator[Removal]:
        newest = {*self._newest_runs(), *self.in_progress}
        for run_id, executions in self.runs.items():
            changed = max(self.snapshot.executions[e].changed for e in executions)
            if run_id in newest or self.now - changed < max(self.policy.older_than, LEFTOVER_AGE):
                continue
            left = [
                link.artifact_id
                for execution_id in executions
                for link in self.outputs.get(execution_id, ())
                if execution_id in self.makers[link.artifact_id]
                and self._is_there(link.artifact_id)
            ]
            pipeline = self.snapshot.places[executions[0]].pipeline_name
            root = self.roots.get(pipeline, "")
            path = layout.run_folder(root, run_id)
            if (
                pipeline not in self.busy_pipelines
                and all(artifact_id in going for artifact_id in left)
                and os.path.basename(path) == run_id
                and is_plainly_inside(path, path, root)
                and os.path.isdir(path)
            ):
                trash = layout.run_folder(root, f".{REMOVING}-{run_id}")
                yield Removal(path, root, LOGS, disk_size(path), pipeline, None, trash)
