"""Histories of runs, written with ML Metadata's own client: as if runs had been made."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ml_metadata import MetadataStore
from ml_metadata.proto import metadata_store_pb2 as proto

from penstock.metadata.databases.client import Store
from penstock.metadata.databases.database import InMemory

STATES = {
    "done": proto.Execution.COMPLETE,
    "cached": proto.Execution.CACHED,
    "failed": proto.Execution.FAILED,
    "canceled": proto.Execution.CANCELED,
    "running": proto.Execution.RUNNING,
}


def new_store() -> Any:
    """Return a store that is in memory."""
    config = proto.ConnectionConfig()
    config.fake_database.SetInParent()
    return Store(InMemory(config, wait_seconds=1.0))


@dataclass
class Calls:
    """A store that counts the calls to it."""

    store: Any
    count: int = 0

    def __getattr__(self, name: str) -> Any:
        method = getattr(self.store, name)

        def counted(*arguments: Any, **options: Any) -> Any:
            self.count += 1
            return method(*arguments, **options)

        return counted


@dataclass
class History:
    """Writes executions into a store, and small files where their outputs belong.

    The roots of pipelines are the folders of their names below `folder`.
    """

    store: Any
    folder: Path
    types: dict[tuple[str, str], int] = field(default_factory=dict)
    contexts: dict[tuple[str, str], Any] = field(default_factory=dict)

    def execute(
        self,
        run: str,
        node: str,
        inputs: Mapping[str, Sequence[int]] | None = None,
        outputs: Mapping[str, str] | None = None,
        *,
        pipeline: str = "p",
        state: str = "done",
        cached: Mapping[str, int] | None = None,
        parameters: Mapping[str, Any] | None = None,
        properties: Mapping[str, Mapping[str, Any]] | None = None,
        run_parameters: Mapping[str, Any] | None = None,
    ) -> dict[str, int]:
        """Record an execution; return its outputs' ids by key.

        `outputs` has the types of new artifacts by key, `cached` artifacts that are there,
        `properties` custom properties of new ones by key.
        """
        execution = proto.Execution(
            type_id=self._type("execution", f"tests.{node}"), last_known_state=STATES[state]
        )
        _set(execution.custom_properties, parameters or {})
        contexts = [
            self._context("pipeline", pipeline),
            self._context("pipeline_run", run, run_parameters),
            self._context("node", f"{pipeline}.{node}"),
        ]
        [execution.id] = self.store.put_executions([execution])
        # An artifact that is given twice has one event, with two places in its path.
        given: dict[int, Any] = {}
        for key, ids in (inputs or {}).items():
            for index, artifact_id in enumerate(ids):
                _event(
                    given.setdefault(artifact_id, proto.Event(type=proto.Event.INPUT)), key, index
                )
        known = {a.id: a for a in self.store.get_artifacts_by_id(list(given))} if given else {}
        used = [(known[artifact_id], event) for artifact_id, event in given.items()]
        made = []
        for key, type_name in (outputs or {}).items():
            uri = self.folder / pipeline / node / key / str(execution.id)
            uri.mkdir(parents=True, exist_ok=True)
            (uri / "data").write_text(f"{run} {node} {key}")
            artifact = proto.Artifact(
                type_id=self._type("artifact", type_name), uri=str(uri), state=proto.Artifact.LIVE
            )
            _set(artifact.custom_properties, (properties or {}).get(key, {}))
            made.append((key, artifact))
        for key, artifact_id in (cached or {}).items():
            made.append((key, self.store.get_artifacts_by_id([artifact_id])[0]))
        pairs = used + [
            (artifact, _event(proto.Event(type=proto.Event.OUTPUT), key, 0))
            for key, artifact in made
        ]
        _, ids, _ = self.store.put_execution(execution, pairs, contexts)
        self.last_execution = execution.id
        return {key: ids[len(used) + place] for place, (key, _) in enumerate(made)}

    def _type(self, kind: str, name: str) -> int:
        if (kind, name) not in self.types:
            put = getattr(self.store, f"put_{kind}_type")
            made = {
                "execution": proto.ExecutionType,
                "artifact": proto.ArtifactType,
                "context": proto.ContextType,
            }[kind](name=name)
            self.types[kind, name] = put(made)
        return self.types[kind, name]

    def _context(self, kind: str, name: str, parameters: Mapping[str, Any] | None = None) -> Any:
        if (kind, name) not in self.contexts:
            context = proto.Context(type_id=self._type("context", kind), name=name)
            for key, value in (parameters or {}).items():
                context.custom_properties[f"parameter:{key}"].string_value = json.dumps(value)
            [context.id] = self.store.put_contexts([context])
            self.contexts[kind, name] = context
        return self.contexts[kind, name]


def _event(event: Any, key: str, index: int) -> Any:
    event.path.steps.add().key = key
    event.path.steps.add().index = index
    return event


def _set(target: Any, values: Mapping[str, Any]) -> None:
    for name, value in values.items():
        if isinstance(value, bool):
            # As TFX records a parameter of a finished node.
            target[name].struct_value["__value__"] = json.dumps(value)
        elif isinstance(value, int):
            target[name].int_value = value
        elif isinstance(value, float):
            target[name].double_value = value
        else:
            target[name].string_value = value


@dataclass
class Reading:
    """How many contexts, executions and artifacts stores have answered with, and in how many calls.

    It counts from when it is installed, with a monkeypatch.
    """

    nodes: int = 0
    calls: int = 0

    def install(self, monkeypatch: Any) -> Reading:
        """Count what all stores answer from now on."""
        call_method = MetadataStore._call_method

        def counted(store: Any, name: str, request: Any, response: Any) -> None:
            call_method(store, name, request, response)
            self.calls += 1
            for kind in ("contexts", "executions", "artifacts"):
                self.nodes += len(getattr(response, kind, ()))

        monkeypatch.setattr(MetadataStore, "_call_method", counted)
        return self
