"""Reading of a store only what removing can still have to do with.

In the end most runs have nothing left: their artifacts are deleted, and neither new runs nor
models that are needed descend from them. What is read are the artifacts that are not deleted, what
those descend from whose descent matters, and these runs, each as a whole, so that what is said of a
run is true:

- runs that made an artifact that is not deleted;
- runs that are in progress, or may be, and young ones;
- the newest of each pipeline, and the newest of those that went well;
- runs of which there is a folder left: logs, or what an execution has written.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import islice

from penstock.ir.reading import RUN_CONTEXT
from penstock.metadata import attempts, layout
from penstock.metadata.garbage import needed
from penstock.metadata.garbage.paths import folders
from penstock.metadata.garbage.snapshot import (
    FINAL_STATES,
    LEFTOVER_AGE,
    MAY_STILL_RUN,
    Execution,
    Run,
    Snapshot,
    lone_runs,
    makers_of,
    pipelines_of,
    reduced_artifact,
    reduced_execution,
    reduced_run,
    went_well,
)
from penstock.metadata.protocol import Store
from penstock.metadata.reading import (
    NODE_CONTEXT,
    PIPELINE_CONTEXT,
    PLAIN_NAME,
    ArtifactRecord,
    Place,
    all_artifacts,
    all_contexts,
    all_executions,
    chosen_contexts,
    chosen_executions,
    links_of_artifacts,
    links_of_executions,
    number_of,
    places_of,
    read_executions,
)
from penstock.metadata.registered import archived_artifacts, needed_artifacts, read_models
from penstock.metadata.run_requests import STATE_PROPERTY

# Where more are to be read one by one, reading all at once costs less.
MOST_RUNS = 500
_MOST_EXECUTIONS = _MOST_ARTIFACTS = 10 * MOST_RUNS
_EXECUTIONS_AT_A_TIME, _NAMES_AT_A_TIME = 25, 100

_NOT_DELETED = "state IS NULL OR state != DELETED"
# They are needed for what they say, whether they are deleted or not.
_DELETED_JUDGEMENTS = f"state = DELETED AND type IN ('{needed.PUSHED}', '{needed.BLESSING}')"
_STATE = f"custom_properties.{STATE_PROPERTY}.string_value"
_OPEN = "last_known_state IN (NEW, RUNNING)"
# Not those of which nobody has recorded a state: these are known by their executions.
_UNFINISHED = f"type = '{RUN_CONTEXT}' AND ({_STATE} IS NULL OR NOT ({_STATE} IN {FINAL_STATES!r}))"


class TooMuchError(Exception):
    """So much of a store matters that it is better read as a whole."""


def read_relevant(
    store: Store,
    root_of: Callable[[str], str],
    *,
    keep_last: int,
    older_than: timedelta,
    now: datetime,
) -> Snapshot:
    """Read what matters if so many newest runs are kept, and what is younger than an age.

    What is decided by it is the same as by all that the store has.

    Raises:
      TooMuchError: that is very much.
    """
    return _Reading(store, root_of, keep_last, older_than, now).read()


@dataclass
class _Reading:
    """What has been read: runs by their names, and executions, those of whole runs for the most."""

    store: Store
    root_of: Callable[[str], str]
    keep_last: int
    older_than: timedelta
    now: datetime
    runs: dict[str, Run] = field(default_factory=dict)
    of_runs: dict[str, list[int]] = field(default_factory=dict)
    executions: dict[int, Execution] = field(default_factory=dict)
    places: dict[int, Place] = field(default_factory=dict)
    makers: dict[int, list[int]] = field(default_factory=dict)
    inputs: dict[int, list[int]] = field(default_factory=dict)

    def read(self) -> Snapshot:
        pipelines = {c.name: c.id for c in all_contexts(self.store, PIPELINE_CONTEXT)}
        nodes = self._nodes(pipelines)
        artifacts = self._artifacts(_NOT_DELETED, _MOST_ARTIFACTS)
        self._read_makers(artifacts)
        self._read_all_of(e for made_by in self.makers.values() for e in made_by)
        for name, context_id in pipelines.items() if self.keep_last > 0 else ():
            self._read_newest(name, context_id)
        self._read_left_behind(pipelines, nodes)
        models = read_models(self.store, strict=True)
        registered = needed_artifacts(models)
        served, blessed = self._judged(artifacts, archived_artifacts(models))
        self._read_ancestors({*served, *registered, *blessed})
        held = attempts.read_recent(self.store).held_runs()
        self._read_recent(held)
        self._read_places(self.executions)
        busy = {run_id for run_id, executions in self.of_runs.items() if executions}
        return Snapshot(
            artifacts,
            self.executions,
            {e: place for e, place in self.places.items() if e in self.executions},
            tuple(links_of_executions(self.store, self.executions)),
            frozenset(nodes),
            {name: run.state for name, run in self.runs.items() if run.state is not None},
            held,
            lone_runs(self.runs.values(), busy, held, self.now),
            served,
            registered,
            blessed,
        )

    def _nodes(self, pipelines: Mapping[str, int]) -> dict[tuple[str, str], int]:
        """Return the contexts of nodes by the names of their pipelines and their own."""
        nodes = {}
        for context in all_contexts(self.store, NODE_CONTEXT):
            owners = [name for name in pipelines if context.name.startswith(f"{name}.")]
            # A name with several points may be that of nodes of several pipelines.
            for owner in owners:
                nodes[owner, context.name.removeprefix(f"{owner}.")] = context.id
        return nodes

    def _artifacts(self, query: str, most: int | None = None) -> dict[int, ArtifactRecord]:
        records: dict[int, ArtifactRecord] = {}
        for artifact in all_artifacts(self.store, query):
            if len(records) == most:
                raise TooMuchError
            records[artifact.artifact_id] = reduced_artifact(artifact)
        return records

    def _read_makers(self, artifact_ids: Iterable[int]) -> None:
        unknown = {a for a in artifact_ids if a not in self.makers}
        claims = [link for link in links_of_artifacts(self.store, unknown) if link.is_output]
        protos = read_executions(self.store, {link.execution_id for link in claims})
        claiming = {e: reduced_execution(proto) for e, proto in protos.items()}
        found = makers_of([c for c in claims if c.execution_id in claiming], claiming)
        self.makers.update({a: found.get(a, []) for a in unknown})

    def _read_all_of(self, execution_ids: Iterable[int]) -> None:
        """Read the runs of executions, or the executions alone that belong to none."""
        unknown = {e for e in execution_ids if e not in self.executions}
        if len(unknown) > _MOST_EXECUTIONS:
            raise TooMuchError
        self._read_places(unknown)
        self._read_runs({self._run_of(e) for e in unknown} - {""})
        alone = unknown - self.executions.keys()
        for execution_id, proto in read_executions(self.store, alone).items():
            self.executions[execution_id] = reduced_execution(proto)

    def _read_places(self, execution_ids: Iterable[int]) -> None:
        self.places.update(
            places_of(self.store, [e for e in execution_ids if e not in self.places])
        )

    def _run_of(self, execution_id: int) -> str:
        return self.places.get(execution_id, Place()).run_id

    def _pipeline_of(self, execution_id: int) -> str:
        return self.places.get(execution_id, Place()).pipeline_name

    def _read_runs(self, run_ids: Iterable[str]) -> None:
        unknown = sorted({run_id for run_id in run_ids if run_id not in self.runs})
        plain = [run_id for run_id in unknown if PLAIN_NAME.fullmatch(run_id)]
        for start in range(0, len(plain), _NAMES_AT_A_TIME):
            names = ", ".join(f"'{name}'" for name in plain[start : start + _NAMES_AT_A_TIME])
            for context in chosen_contexts(
                self.store, f"type = '{RUN_CONTEXT}' AND name IN ({names})"
            ):
                self._read_run(reduced_run(context))
        for run_id in set(unknown).difference(plain):
            context = self.store.get_context_by_type_and_name(RUN_CONTEXT, run_id)
            if context is not None:
                self._read_run(reduced_run(context))

    def _read_run(self, run: Run) -> None:
        if run.name in self.runs:
            return
        if len(self.runs) >= MOST_RUNS:
            raise TooMuchError
        self.runs[run.name] = run
        protos = list(all_executions(self.store, run.context_id))
        self.of_runs[run.name] = [proto.id for proto in protos]
        self.executions.update({proto.id: reduced_execution(proto) for proto in protos})

    def _read_recent(self, held: Iterable[str]) -> None:
        """Read the runs that are young, and those that are in progress or may be."""
        recent = self._changed_within(max(self.older_than, MAY_STILL_RUN))
        chosen = chosen_executions(self.store, f"{_OPEN} OR {recent}")
        self._read_all_of([execution.id for execution in chosen])
        begun = _within("create_time_since_epoch", MAY_STILL_RUN, self.now)
        for query in (_UNFINISHED, f"type = '{RUN_CONTEXT}' AND {begun}"):
            for context in chosen_contexts(self.store, query):
                self._read_run(reduced_run(context))
        self._read_runs(held)

    def _read_newest(self, pipeline: str, context_id: int) -> None:
        """Read the runs of a pipeline that began last, and last of those that went well."""
        protos = chosen_executions(
            self.store, f"contexts_pipeline.id = {context_id}", newest_first=True
        )
        seen: set[str] = set()
        while page := [proto.id for proto in islice(protos, _EXECUTIONS_AT_A_TIME)]:
            self._read_all_of(page)
            self._read_places(page)
            seen |= {self._run_of(execution_id) for execution_id in page} & self.of_runs.keys()
            # Of others the first executions are still to come.
            begun = {run_id: min(self.of_runs[run_id]) for run_id in seen if self.of_runs[run_id]}
            begun = {run_id: first for run_id, first in begun.items() if first >= page[-1]}
            self._read_places(begun.values())
            own = [r for r, first in begun.items() if self._pipeline_of(first) == pipeline]
            if min(len(own), sum(map(self._went_well, own))) >= self.keep_last:
                return

    def _went_well(self, run_id: str) -> bool:
        executions = [self.executions[e] for e in self.of_runs[run_id]]
        return went_well(self.runs[run_id].state or "", executions)

    def _read_left_behind(
        self, pipelines: Iterable[str], nodes: Mapping[tuple[str, str], int]
    ) -> None:
        """Read the runs of executions of which there are folders, and those that have logs."""
        roots = {name: os.path.normpath(self.root_of(name)) for name in pipelines}
        for (pipeline, node_id), context_id in nodes.items():
            folder = os.path.join(roots[pipeline], node_id)
            ids = set(_numbers(layout.working_folders(folder)[0]))
            for key in folders(folder):
                ids.update(_numbers(os.path.join(folder, key)))
            if folders(layout.kept_folder(folder)):
                ids.update(self._unsettled(context_id))
            known = read_executions(self.store, ids - self.executions.keys())
            self._read_all_of(known)
        for root in set(roots.values()):
            self._read_runs(folders(os.path.join(root, layout.RUNS)))

    def _unsettled(self, node_context_id: int) -> Iterator[int]:
        """Yield a node's first execution, and those that keep what it has kept from going."""
        of_node = f"contexts_node.id = {node_context_id}"
        yield from (e.id for e in islice(chosen_executions(self.store, of_node), 1))
        query = f"{of_node} AND ({_OPEN} OR {self._changed_within(LEFTOVER_AGE)})"
        yield from (e.id for e in chosen_executions(self.store, query))

    def _changed_within(self, age: timedelta) -> str:
        return _within("last_update_time_since_epoch", age, self.now)

    def _judged(
        self, artifacts: Mapping[int, ArtifactRecord], archived: frozenset[int]
    ) -> tuple[frozenset[int], frozenset[int]]:
        """Return what is needed as served, and as blessed."""
        judged = [*artifacts.values(), *self._artifacts(_DELETED_JUDGEMENTS).values()]
        blessings = [a.artifact_id for a in judged if needed.is_blessing(a)]
        self._read_makers(blessings)
        self._read_places(e for a in blessings for e in self.makers[a])
        return needed.served(judged), needed.blessed(
            judged, archived, lambda a: pipelines_of(self.makers[a], self.places)
        )

    def _read_ancestors(self, artifact_ids: set[int]) -> None:
        """Read all that artifacts descend from, level by level; mostly it has been read."""
        self._read_inputs(self.executions)
        level, seen = artifact_ids, set(artifact_ids)
        while level:
            self._read_makers(level)
            makers = {e for a in level for e in self.makers[a]}
            self._read_all_of(makers)
            self._read_inputs(makers)
            level = {a for e in makers for a in self.inputs[e]} - seen
            seen |= level

    def _read_inputs(self, execution_ids: Iterable[int]) -> None:
        unknown = {e for e in execution_ids if e not in self.inputs}
        self.inputs.update({e: [] for e in unknown})
        for link in links_of_executions(self.store, unknown):
            if not link.is_output:
                self.inputs[link.execution_id].append(link.artifact_id)


def _within(name: str, age: timedelta, now: datetime) -> str:
    # A second earlier, so that no rounding leaves one out.
    since = now.timestamp() - age.total_seconds() - 1
    return f"{name} >= {max(0, int(since * 1000))}"


def _numbers(folder: str) -> Iterator[int]:
    """Yield the ids of executions that folders are named after."""
    for name in folders(folder):
        number = number_of(name)
        if number is not None and str(number) == name:
            yield number
