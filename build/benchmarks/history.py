"""What commands cost by how many runs the store has: seconds, and the peak memory of gc.

python build/benchmarks/history.py [--runs 10,1000,10000] [--store ADDRESS] [--folder FOLDER]

Prints a Markdown table of medians of three. Each store is written anew, unless its folder has one
from before. With `--store` it is in a database, whose address ends with the count of runs.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from click.testing import CliRunner
from ml_metadata import MetadataStore
from ml_metadata.proto import metadata_store_pb2 as proto

from penstock import LocalRunner, Output, component, pipeline
from penstock.artifacts import Examples
from penstock.execution.recovery import mark_abandoned
from penstock.metadata import attempts, holders, turns
from penstock.metadata.garbage.planning import Policy, plan_collection
from penstock.metadata.store import connect, connection_config
from penstock.surfaces.cli.main import penstock

REPEATS = 3
RUNS_A_CALL = 250
PIPELINE = "history"
_SOON = time.time() + 3 * 3600
# What each node of a run takes, and makes: keys and types.
NODES: Mapping[str, tuple[tuple[str, ...], Mapping[str, str]]] = {
    "ExampleGen": ((), {"examples": "Examples"}),
    "StatisticsGen": (("examples",), {"statistics": "ExampleStatistics"}),
    "Trainer": (("examples",), {"model": "Model", "model_run": "ModelRun"}),
    "Evaluator": (("examples", "model"), {"evaluation": "ModelEvaluation"}),
    "Pusher": (("model",), {"pushed_model": "PushedModel"}),
}


@component
def WriteNumber(examples: Output[Examples], number: int = 1) -> None:
    """Write a number into a file."""
    Path(examples.uri, "number").write_text(str(number), encoding="utf-8")


@pipeline
def small(number: int = 1):
    """One function."""
    return [WriteNumber(number=number)]


@dataclass
class Writer:
    """Writes many runs with few calls, as if they had been made one after the other."""

    store: MetadataStore
    root: Path
    leaves_artifacts: bool = True
    types: dict[str, int] = field(default_factory=dict)
    shared: dict[str, int] = field(default_factory=dict)

    def write(self, names: Sequence[str]) -> None:
        """Write runs of all nodes, each with an attempt that has ended."""
        contexts = [self._run(name) for name in names] + [self._attempt(name) for name in names]
        keys = [(name, node) for name in names for node in NODES]
        for name, node in keys:
            contexts.append(self._context("execution_cache", f"{name} {node}"))
        context_ids = self.store.put_contexts(contexts)
        runs = dict(zip(names, context_ids, strict=False))
        caches = dict(zip(keys, context_ids[2 * len(names) :], strict=True))
        executions = [self._execution(name, node) for name, node in keys]
        execution_ids = dict(zip(keys, self.store.put_executions(executions), strict=True))
        outputs = [(n, node, key) for n, node in keys for key in NODES[node][1]]
        artifacts = [self._artifact(node, key, execution_ids[n, node]) for n, node, key in outputs]
        artifact_ids = dict(zip(outputs, self.store.put_artifacts(artifacts), strict=True))
        made = {(name, key): artifact for (name, _, key), artifact in artifact_ids.items()}
        events, links, parents = [], [], []
        attributions = []
        for (name, node), execution_id in execution_ids.items():
            belongs = (
                runs[name],
                caches[name, node],
                self._shared("pipeline", PIPELINE),
                self._shared("node", f"{PIPELINE}.{node}"),
            )
            links += [proto.Association(execution_id=execution_id, context_id=c) for c in belongs]
            given, keys_made = NODES[node]
            for key in given:
                events.append(_event(made[name, key], execution_id, key, proto.Event.INPUT))
            for key in keys_made:
                artifact_id = made[name, key]
                events.append(_event(artifact_id, execution_id, key, proto.Event.OUTPUT))
                attributions += [
                    proto.Attribution(artifact_id=artifact_id, context_id=c) for c in belongs
                ]
        for run_id in runs.values():
            pipeline_id = self._shared("pipeline", PIPELINE)
            parents.append(proto.ParentContext(child_id=run_id, parent_id=pipeline_id))
        self.store.put_events(events)
        self.store.put_attributions_and_associations(attributions, links)
        self.store.put_parent_contexts(parents)

    def _run(self, name: str) -> proto.Context:
        context = self._context("pipeline_run", name)
        graph = [[node, [], True] for node in NODES]
        for key, value in {
            "state": "done",
            "definition": PIPELINE,
            "options": "{}",
            "environment": json.dumps({"python": "3.11", "tfx": "1.16.0", "machine": "x86_64"}),
            "graph": json.dumps(graph),
            "pipeline_root": str(self.root),
            "parameter:train_steps": "100",
        }.items():
            context.custom_properties[key].string_value = value
        return context

    def _attempt(self, name: str) -> proto.Context:
        context = self._context(attempts.ATTEMPT_CONTEXT, f"{name}/1")
        context.custom_properties["state"].string_value = "done"
        context.custom_properties["until"].string_value = repr(time.time())
        holder = json.dumps(vars(holders.this_process()))
        context.custom_properties["holder"].string_value = holder
        return context

    def _execution(self, name: str, node: str) -> proto.Execution:
        execution = proto.Execution(
            type_id=self._type("execution", node), last_known_state=proto.Execution.COMPLETE
        )
        for key, value in {
            "name": f"{name}.{node}",
            "splits": '{"train": 2, "eval": 1}',
            "__code_fingerprint__": json.dumps({"component.py": "0" * 64}),
            "__node_fingerprint__": "1" * 64,
        }.items():
            execution.custom_properties[key].string_value = value
        execution.custom_properties["__wall_seconds__"].double_value = 1.5
        return execution

    def _artifact(self, node: str, key: str, execution_id: int) -> proto.Artifact:
        uri = self.root / node / key / str(execution_id)
        if self.leaves_artifacts:
            uri.mkdir(parents=True)
            (uri / "data").write_text("1", encoding="utf-8")
        artifact = proto.Artifact(
            type_id=self._type("artifact", NODES[node][1][key]),
            uri=str(uri),
            state=proto.Artifact.LIVE if self.leaves_artifacts else proto.Artifact.DELETED,
        )
        artifact.custom_properties["content_digest"].string_value = "2" * 64
        artifact.custom_properties["content_bytes"].int_value = 1
        return artifact

    def _context(self, kind: str, name: str) -> proto.Context:
        return proto.Context(type_id=self._type("context", kind), name=name)

    def _shared(self, kind: str, name: str) -> int:
        if name not in self.shared:
            [self.shared[name]] = self.store.put_contexts([self._context(kind, name)])
        return self.shared[name]

    def _type(self, kind: str, name: str) -> int:
        if name not in self.types:
            made = {
                "execution": (self.store.put_execution_type, proto.ExecutionType),
                "artifact": (self.store.put_artifact_type, proto.ArtifactType),
                "context": (self.store.put_context_type, proto.ContextType),
            }
            put, message = made[kind]
            self.types[name] = put(message(name=name))
        return self.types[name]


def _event(artifact_id: int, execution_id: int, key: str, kind: int) -> proto.Event:
    event = proto.Event(artifact_id=artifact_id, execution_id=execution_id, type=kind)
    event.path.steps.add().key = key
    event.path.steps.add().index = 0
    return event


@dataclass(frozen=True)
class Project:
    """A folder with penstock.toml, the store that it names, and pipelines' roots."""

    folder: Path
    store: str
    leaves_artifacts: bool = True

    def prepare(self, runs: int) -> None:
        """Write the configuration, and a store of so many runs unless it is there."""
        self.folder.mkdir(parents=True, exist_ok=True)
        settings = f'[profiles.default]\nmetadata = "{self.store}"\npipeline_root = "roots"\n'
        (self.folder / "penstock.toml").write_text(settings, encoding="utf-8")
        written = self.folder / ".written"
        if written.exists():
            return
        with connect(connection_config(self.store)) as metadata:
            root = self.folder / "roots" / PIPELINE
            writer = Writer(metadata.store, root, self.leaves_artifacts)
            names = [f"2026-01-01-{number:06}" for number in range(runs)]
            for start in range(0, runs, RUNS_A_CALL):
                writer.write(names[start : start + RUNS_A_CALL])
            # As the first command notes it that comes an hour after them.
            attempts.note_ended(metadata.store, attempts.read_recent(metadata.store), _SOON)
        written.touch()


def measured(project: Project) -> Iterator[tuple[str, float]]:
    """Yield what is done with a project's store, and the median of its seconds."""
    connection = connection_config(project.store)
    with connect(connection, create=False) as metadata:

        def attempt() -> None:
            held = attempts.begin(metadata.store, f"run at {time.time_ns()}")
            assert turns.renew(metadata.store, held)
            turns.end(metadata.store, held, "done")

        yield "begin, renew and end an attempt", _seconds(attempt)
        yield "mark what is abandoned", _seconds(lambda: mark_abandoned(metadata))
    yield "run one function", _seconds(lambda: _run(project))
    for command in (["runs"], ["show", "latest"], ["show", "latest~3"]):
        yield f"penstock {' '.join(command)}", _seconds(lambda c=command: _command(project, c))
    yield "penstock gc: seconds", _seconds(lambda: _command(project, ["gc", "--keep-last", "3"]))


def planning_seconds(project: Project) -> float:
    """Return how long gc thinks, three hours after the last run, of one whose runs left nothing."""
    root, now = str(project.folder / "roots" / PIPELINE), datetime.fromtimestamp(_SOON)
    with connect(connection_config(project.store), create=False) as metadata:

        def plan() -> None:
            plan_collection(metadata.store, lambda _: root, Policy(3, timedelta(0)), now=now)

        return _seconds(plan)


def _run(project: Project) -> None:
    # Imported by its name, as a worker imports it.
    import history

    runner = LocalRunner(pipeline_root=str(project.folder / "runs"), metadata=project.store)
    runner.run(history.small, parameters={"number": time.time_ns() % 2**31})


def _command(project: Project, arguments: Sequence[str]) -> None:
    with _inside(project.folder):
        answer = CliRunner().invoke(penstock, arguments, catch_exceptions=False)
    assert answer.exit_code == 0, answer.output


def gc_peak(project: Project) -> float:
    """Return the most memory that `penstock gc` has at once, as a process of its own, in MB."""
    process_id = os.fork()
    if not process_id:
        os.chdir(project.folder)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        command = ["-m", "penstock", "gc", "--keep-last", "3"]
        os.execv(sys.executable, [sys.executable, *command])
    _, status, usage = os.wait4(process_id, 0)
    assert status == 0
    return usage.ru_maxrss / 1000


@contextmanager
def _inside(folder: Path) -> Iterator[None]:
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def _seconds(work: Callable[[], object]) -> float:
    # Once before, so that what is imported late does not count.
    work()
    taken = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        work()
        taken.append(time.perf_counter() - began)
    return statistics.median(taken)


def main() -> None:
    """Measure as the command line asks, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", default="10,1000,10000", help="numbers of runs")
    parser.add_argument(
        "--store",
        help="the beginning of databases' addresses, without a password; by default files",
    )
    parser.add_argument("--folder", type=Path, help="where stores are kept")
    options = parser.parse_args()
    counts = [int(count) for count in options.runs.split(",")]
    with tempfile.TemporaryDirectory() as temporary:
        columns = []
        for count in counts:
            folder = (options.folder or Path(temporary)).absolute() / str(count)
            address = f"{options.store}{count}" if options.store else f"{folder}/metadata.sqlite"
            project = Project(folder, address)
            project.prepare(count)
            of_bare = f"{options.store}{count}bare" if options.store else f"{folder}/bare.sqlite"
            bare = Project(folder / "bare", of_bare, leaves_artifacts=False)
            bare.prepare(count)
            column = {what: f"{seconds:.3f}" for what, seconds in measured(project)}
            column["penstock gc: peak MB"] = f"{gc_peak(project):.0f}"
            column["plan gc where runs left nothing"] = f"{planning_seconds(bare):.3f}"
            columns.append(column)
    print(f"| | {' | '.join(f'{count:,} runs' for count in counts)} |")
    print(f"|---|{'---:|' * len(counts)}")
    for what in columns[0]:
        print(f"| {what} | {' | '.join(column[what] for column in columns)} |")


if __name__ == "__main__":
    main()
