"""What TFX's executors and ours left of the same pipeline, each below a folder of its own."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from penstock.data.coding.example_proto import example_class
from penstock.data.data_files import record_files
from penstock.data.records import read_serialized
from penstock.metadata.store import connect, connection_config
from penstock_support import PROGRAMS

SCRIPT = PROGRAMS / "accelerated_pipelines.py"

# Of our runner, whoever does the work.
_OURS = re.compile(r"__\w+__|content\w*")


@dataclass(frozen=True)
class Node:
    """What the store has of a node, without ids, times and the names of runs and folders."""

    execution: Mapping[str, Any]
    events: tuple[Any, ...]
    artifacts: Mapping[str, tuple[Any, ...]]
    uris: Mapping[str, tuple[str, ...]]
    done_by: str

    def records_by_split(self) -> dict[str, list[bytes]]:
        """Return the examples of each split, sorted, with their features in one order."""
        [uri] = self.uris["examples"]

        def canonical(record: bytes) -> bytes:
            return example_class().FromString(record).SerializeToString(deterministic=True)

        return {
            folder.name: sorted(map(canonical, read_serialized(record_files(str(folder)))))
            for folder in Path(uri).iterdir()
        }


@dataclass(frozen=True)
class Both:
    """The nodes of one pipeline as TFX's executors left them, and as ours did."""

    tfx: Mapping[str, Node]
    ours: Mapping[str, Node]
    told: Mapping[str, Any]


@pytest.fixture(scope="session")
def run_both(tmp_path_factory) -> Callable[[str], Both]:
    """Run a pipeline of the script by its name: run_both("csv")."""

    def run(name: str) -> Both:
        folder = tmp_path_factory.mktemp(name)
        done = subprocess.run(
            [sys.executable, "-W", "ignore", str(SCRIPT), name, str(folder)],
            capture_output=True,
            text=True,
            check=False,
            cwd=folder,
            timeout=1200,
        )
        assert done.returncode == 0, done.stderr[-4000:]
        told = json.loads(done.stdout.splitlines()[-1])
        return Both(read_nodes(folder, "tfx"), read_nodes(folder, "ours"), told)

    return run


def read_nodes(folder: Path, who: str) -> dict[str, Node]:
    with connect(connection_config(str(folder / f"{who}.sqlite"))) as opened:
        store = opened.store
        runs = [c.name for c in store.get_contexts_by_type("pipeline_run")]
        types = {t.id: t.name for t in store.get_execution_types()}
        artifact_types = {t.id: t.name for t in store.get_artifact_types()}

        def neutral(text: str, execution: int) -> str:
            for name in runs:
                text = text.replace(name, "RUN")
            text = text.replace(str(folder / who), "ROOT")
            return re.sub(rf"/{execution}(/|$)", r"/ID\1", text)

        def plain(values: Any, execution: int) -> dict[str, Any]:
            read = {}
            for name, value in values.items():
                if _OURS.fullmatch(name):
                    continue
                kind = value.WhichOneof("value")
                content = getattr(value, kind) if kind else None
                if name.endswith("_id"):
                    content = "ID"  # of another artifact
                elif name == "split_names":
                    # That of TFX's Transform is in the order of a set.
                    content = sorted(json.loads(content))
                elif isinstance(content, str):
                    content = re.sub(r"/\d+(/|$)", r"/ID\1", neutral(content, execution))
                elif kind not in ("int_value", "double_value", "bool_value", None):
                    content = str(content)
                read[name] = (kind, content)
            return read

        nodes = {}
        for execution in store.get_executions():
            contexts = store.get_contexts_by_execution(execution.id)
            named = [c.name for c in contexts if "." in c.name and c.name not in runs]
            [node] = [name.partition(".")[2] for name in named]
            events = store.get_events_by_execution_ids([execution.id])
            artifacts: dict[str, list[Any]] = {}
            uris: dict[str, list[str]] = {}
            for event in events:
                key = event.path.steps[0].key
                [artifact] = store.get_artifacts_by_id([event.artifact_id])
                side = "out" if event.type == event.OUTPUT else "in"
                if side == "out":
                    uris.setdefault(key, []).append(artifact.uri)
                    artifacts.setdefault(key, []).append(
                        (
                            artifact_types[artifact.type_id],
                            neutral(artifact.uri, execution.id),
                            neutral(artifact.name, execution.id),
                            artifact.state,
                            plain(artifact.properties, execution.id),
                            plain(artifact.custom_properties, execution.id),
                        )
                    )
            done_by = execution.custom_properties["__done_by__"].string_value
            nodes[node] = Node(
                {
                    "type": types[execution.type_id],
                    "state": execution.last_known_state,
                    "properties": plain(execution.properties, execution.id),
                    "custom_properties": plain(execution.custom_properties, execution.id),
                },
                tuple(sorted((e.type, str(e.path)) for e in events)),
                {key: tuple(values) for key, values in artifacts.items()},
                {key: tuple(values) for key, values in uris.items()},
                done_by,
            )
        return nodes
