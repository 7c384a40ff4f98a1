"""A session: a pipeline that comes into being, node by node."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from penstock import _tfx, ir
from penstock.authoring.values import SCALARS, PipelineParameter
from penstock.errors import ParameterError, PipelineError, RunError, WiringError, suggestion
from penstock.execution.daemon.asking import Lender
from penstock.execution.schedule import State
from penstock.execution.workers.nursery import Nurseries
from penstock.metadata.protocol import Store
from penstock.metadata.runs import find_run
from penstock.metadata.store import connect, connection_config
from penstock.project.config import Config, find_config, read_config
from penstock.report.wording import from_here
from penstock.runners.local import LocalRunner
from penstock.runners.local.display import Display
from penstock.runners.local.result import NodeResult
from penstock.safety.containment import is_name
from penstock.surfaces.notebook import definitions
from penstock.surfaces.notebook.blocks import Block, Line, Table, to_html, to_text
from penstock.surfaces.notebook.cells import current_cell
from penstock.surfaces.notebook.code import CellModules
from penstock.surfaces.notebook.definitions import Definition, Ran, in_order
from penstock.surfaces.notebook.outputs import blocks_of
from penstock.surfaces.notebook.progress import progress


class NodeFailed(RunError):
    """A node of a session failed; `result` is what became of it."""

    def __init__(self, result: NodeResult) -> None:
        # Paths of this folder, as the author of the notebook knows them.
        error = result.error.replace(os.getcwd() + os.sep, "")
        log = f"\nIts log is {from_here(result.log_path)}." if result.log_path else None
        super().__init__(f"{result.node_id} {result.state.value}: {error}", hint=log)
        self.result = result


class Session:
    """Runs components one at a time, as the local runner runs them in a pipeline.

    `name` is the pipeline's. Where things are kept says the project's penstock.toml, by its
    default profile or by that named `profile`; without one it is `.penstock` in this folder.
    Components that cells define are written to `{name}_components.py` in this folder, where worker
    processes and the exported pipeline find them.
    """

    def __init__(
        self, name: str, *, profile: str | None = None, display: Display | None = None
    ) -> None:
        if not is_name(name):
            raise PipelineError(
                f"a session's name becomes that of a pipeline and of its folder, so it cannot be "
                f"{name!r}",
                hint="Use letters, digits, dashes and underscores.",
            )
        self.name = name
        self.parameters: dict[str, PipelineParameter] = {}
        self._config = _project()
        self._profile = self._config.profile(profile)
        self._display = display
        self._ran: dict[str, Ran] = {}
        self._objects: dict[int, tuple[Any, Ran]] = {}
        self._nurseries = Nurseries(lasting=True, lend=Lender(str(self._config.folder)))
        self._surroundings: object = None
        self._modules = CellModules(
            Path.cwd(), name, f"{name.replace('-', '_')}_components", {}, {}
        )
        if str(Path.cwd()) not in sys.path:
            sys.path.insert(0, str(Path.cwd()))

    @classmethod
    def restore(
        cls, name: str, *, profile: str | None = None, display: Display | None = None
    ) -> Session:
        """Return a session as it was: by its name, or as it was after a run, by that run's.

        Raises:
          RunError: the store knows no such session or run.
        """
        config = _project()
        address = config.profile(profile).metadata_address()
        with connect(connection_config(address), create=False) as metadata:
            names = definitions.sessions(metadata.store)
            through = None
            if name not in names.values():
                through, name = _run_of_a_session(metadata.store, name, names)
            nodes = definitions.recorded(metadata.store, name, through)
        session = cls(name, profile=profile, display=display)
        for ran in nodes:
            session._ran[ran.node_id] = ran
        for ran in session._ran.values():
            module, _, name_of_type = ran.definition.node.node_info.type.name.rpartition(".")
            if module == session._modules.components:
                session._modules.used[name_of_type] = None
            for parameter in ir.run_parameters(ran.definition.pipeline).values():
                value = ran.parameters.get(parameter.name, parameter.default)
                session.parameter(parameter.name, value)
        return session

    def parameter(self, name: str, default: str | int | float | bool) -> PipelineParameter:
        """Make a parameter of the pipeline, or give it another value, and return it.

        It is passed on to components as it is; nodes of the session run with `default`.
        """
        if not name.isidentifier() or type(default) not in SCALARS:
            raise ParameterError(
                f"a parameter has a name and a str, int, float or bool, got {name!r} and "
                f"{default!r} ({type(default).__name__})"
            )
        self.parameters[name] = PipelineParameter(name, type(default), default)
        return self.parameters[name]

    def module(self, file: str, *functions: Callable[..., Any]) -> str:
        """Write functions of cells to a module file, with all that they use, and return its name.

        For components that take one: `Trainer(module_file=session.module("model.py", run_fn))`.

        Raises:
          UserCodeError: something that they use cannot stand in a module.
        """
        return self._modules.write_functions(file, functions)

    def run(self, node: Any, *, cache: bool = True) -> NodeRun:
        """Run a node on what the nodes before it have made, and return what it has made.

        `cache=False` runs it whatever earlier runs have made.

        Raises:
          NodeFailed: it failed.
          WiringError: a node that it takes something from has not run.
        """
        if not isinstance(node, _tfx.BaseNode):
            raise WiringError(
                f"expected a node to run, got {node!r} ({type(node).__name__})",
                component=type(node).__name__,
                hint="Write session.run(CsvExampleGen(input_base=...)).",
            )
        if type(node).__module__ == "__main__":
            self._modules.write_component(type(node).__name__)
        definition = definitions.define(
            node,
            pipeline_name=self.name,
            pipeline_root=self._profile.root_of(self.name),
            beam_args=self._profile.beam_args,
            homes=self._modules.homes(),
            cell=current_cell(),
        )
        ran, result = self._run(definition, self._artifacts_for(node, definition), cache)
        self._objects[id(node)] = (node, ran)
        return NodeRun(self, ran, node.outputs, result)

    def update(self) -> Updated:
        """Run all nodes again in their order, with the parameters and the code as they are now.

        What has not changed comes from the cache. Return the nodes with what became of them.

        Raises:
          NodeFailed: one failed; those after it have not run.
        """
        results = []
        self._modules.rewrite()
        for definition in in_order({n: r.definition for n, r in self._ran.items()}):
            module, _, name = definition.node.node_info.type.name.rpartition(".")
            if module == self._modules.components:
                self._modules.write_component(name)
            objects = [k for k, (_, r) in self._objects.items() if r.definition is definition]
            artifacts = {
                (s.node_id, s.key): self._ran[s.node_id].outputs.get(s.key, [])
                for sources in definition.sources().values()
                for s in sources
                if s.of_this_run and s.node_id in self._ran
            }
            ran, result = self._run(definition, artifacts, cache=True)
            for key in objects:
                self._objects[key] = (self._objects[key][0], ran)
            results.append(result)
        return Updated(tuple(results))

    def __repr__(self) -> str:
        return to_text(self._blocks())

    def _repr_html_(self) -> str:
        return to_html(self._blocks())

    def _blocks(self) -> list[Block]:
        stale = self.stale()
        rows = tuple(
            (
                node_id,
                ", ".join(sorted(ran.definition.producers())),
                f"before {', '.join(stale[node_id])} was made anew" if node_id in stale else "",
                f"[{ran.definition.cell}]" if ran.definition.cell else "",
            )
            for node_id, ran in self._ran.items()
        )
        blocks: list[Block] = [Line(f"Session {self.name}")]
        if self.parameters:
            parameters = (f"{p.name} = {p.default!r}" for p in self.parameters.values())
            blocks.append(Line(", ".join(parameters), "quiet"))
        columns = ("node", "takes from", "ran", "cell")
        return [*blocks, Table(columns, rows)] if rows else [*blocks, Line("Nothing has run yet.")]

    def __getitem__(self, node_id: str) -> NodeRun:
        """Return a node that has run, by its name, also one of a restored session."""
        if node_id not in self._ran:
            raise RunError(
                f"{node_id!r} has not run in session {self.name}",
                hint=suggestion(node_id, self._ran, noun="node"),
            )
        ran = self._ran[node_id]
        for node, latest in self._objects.values():
            if latest is ran:
                return NodeRun(self, ran, node.outputs)
        stub = _Restored(ran)
        self._objects[id(stub)] = (stub, ran)
        return NodeRun(self, ran, stub.outputs)

    def __iter__(self) -> Any:
        return iter([self[node_id] for node_id in self._ran])

    def forget(self, node_id: str) -> None:
        """Leave a node out of the session, so that it is not exported."""
        if self[node_id].node_id:
            del self._ran[node_id]

    def stale(self) -> dict[str, list[str]]:
        """Return the nodes that ran before what they take was made anew, and what that is."""
        producers: dict[str, list[str]] = {}
        for node_id, ran in self._ran.items():
            for key, sources in ran.definition.sources().items():
                of_session = [s for s in sources if s.of_this_run and s.node_id in self._ran]
                now = [
                    a.id for s in of_session for a in self._ran[s.node_id].outputs.get(s.key, [])
                ]
                if of_session and now != list(ran.inputs.get(key, [])):
                    producers.setdefault(node_id, []).extend(s.node_id for s in of_session)
        return {node_id: sorted(set(names)) for node_id, names in producers.items()}

    def export(self, file: str) -> Any:
        """Write the session as a pipeline file, which makes the same with the same cache.

        Raises:
          ExportError: something cannot be written as code, named by cell and reason.
        """
        from penstock.surfaces.notebook.export import export

        return export(self, list(self._ran.values()), Path(file), self._modules)

    @property
    def beam_args(self) -> Sequence[str]:
        """Beam's arguments of the profile, which all nodes have."""
        return self._profile.beam_args

    def close(self) -> None:
        """End the worker processes that the session keeps ready."""
        self._nurseries.close()

    def _artifacts_for(
        self, node: Any, definition: Definition
    ) -> dict[tuple[str, str], Sequence[_tfx.Artifact]]:
        wired = _wired(node)
        artifacts: dict[tuple[str, str], Sequence[_tfx.Artifact]] = {}
        for key, sources in definition.sources().items():
            for source in sources:
                if not source.of_this_run:
                    continue
                ran = self._ran_as(wired.get(source.node_id), source.node_id)
                if ran is None:
                    again = source.node_id in self._ran
                    state = "was defined again and has not run since" if again else "has not run"
                    raise WiringError(
                        f"{definition.node_id}.{key.lstrip('_')} takes {source.key} of "
                        f"{source.node_id}, which {state} in this session",
                        component=definition.node_id,
                        argument=key,
                        hint=f"Run it first: session.run({source.node_id[:1].lower()}...).",
                    )
                artifacts[source.node_id, source.key] = ran.outputs.get(source.key, [])
        return artifacts

    def _ran_as(self, producer: Any, node_id: str) -> Ran | None:
        if producer is None:
            return self._ran.get(node_id)
        _, ran = self._objects.get(id(producer), (None, None))
        return ran

    def _run(
        self,
        definition: Definition,
        artifacts: Mapping[tuple[str, str], Sequence[_tfx.Artifact]],
        cache: bool,
    ) -> tuple[Ran, NodeResult]:
        self._renew_workers()
        runner = LocalRunner(
            metadata=self._profile.metadata_address(),
            parallelism=self._profile.parallelism,
            display=self._display or progress(),
            openlineage=None,
            nurseries=self._nurseries,
            accelerate=self._profile.accelerate,
            store_patience=self._profile.metadata_patience,
        )
        pipeline = definitions.with_inputs(definition, artifacts)
        declared = ir.run_parameters(pipeline)
        values = {n: p.default for n, p in self.parameters.items() if n in declared}
        done = runner.run(pipeline, parameters=values, cache=cache, raise_on_failure=False)
        result = done.nodes[definition.node_id]
        if not result.state.successful:
            raise NodeFailed(result)
        inputs = {
            key: [a.id for s in sources for a in artifacts.get((s.node_id, s.key), [])]
            for key, sources in definition.sources().items()
        }
        ran = Ran(definition, done.run_id, result.execution_id, result.outputs, inputs, values)
        with connect(self._connection()) as metadata:
            definitions.record(metadata.store, self.name, ran)
        self._ran[ran.node_id] = ran
        return ran, result

    def _renew_workers(self) -> None:
        """Start processes anew where this one has changed what they inherited from it."""
        surroundings = (dict(os.environ), os.getcwd(), list(sys.path))
        if surroundings != self._surroundings:
            self._nurseries.close()
            self._surroundings = surroundings

    def _connection(self) -> Any:
        return connection_config(self._profile.metadata_address())


@dataclass(frozen=True)
class NodeRun:
    """A node of a session that has run.

    `outputs` are what other nodes take, `artifacts` what it has made, both by key.
    """

    session: Session
    ran: Ran
    outputs: Mapping[str, Any]
    result: NodeResult | None = None

    @property
    def node_id(self) -> str:
        """The node's name."""
        return self.ran.node_id

    @property
    def artifacts(self) -> _tfx.Artifacts:
        """The artifacts that the node has made, by key."""
        return self.ran.outputs

    def __repr__(self) -> str:
        return to_text(self._blocks())

    def _repr_html_(self) -> str:
        # What became of it stands below its cell already, in the line that showed it running.
        return to_html(self._blocks()[0 if self.result is None else 1 :])

    def _blocks(self) -> list[Block]:
        with connect(self.session._connection()) as metadata:
            return [Line(self._summary()), *blocks_of(self.artifacts, metadata.store)]

    def _summary(self) -> str:
        if self.result is None:
            return f"{self.node_id}, from run {self.ran.run_id}"
        seconds = self.result.seconds
        took = f" in {seconds:.1f} s" if seconds and self.result.state is State.DONE else ""
        return f"{self.node_id} {self.result.state.value}{took}"


@dataclass(frozen=True)
class Updated:
    """What became of the nodes that ran again."""

    results: tuple[NodeResult, ...]

    def __repr__(self) -> str:
        return to_text(self._blocks())

    def _repr_html_(self) -> str:
        return to_html(self._blocks())

    def _blocks(self) -> list[Block]:
        rows = tuple((result.node_id, result.state.value) for result in self.results)
        return [Table(("node", "state"), rows)]


class _Restored(_tfx.BaseNode):
    """Stands for a node of an earlier session where others are wired to its outputs."""

    def __init__(self, ran: Ran) -> None:
        super().__init__()
        self.with_id(ran.node_id)
        self._outputs = {
            key: _tfx.channel.OutputChannel(type(artifacts[0]), self, key)
            for key, artifacts in ran.outputs.items()
            if artifacts
        }

    @property
    def inputs(self) -> dict[str, Any]:
        return {}

    @property
    def outputs(self) -> dict[str, Any]:
        return self._outputs

    @property
    def exec_properties(self) -> dict[str, Any]:
        return {}


def _project() -> Config:
    return read_config(find_config())


def _run_of_a_session(store: Store, name: str, sessions: Mapping[str, str]) -> tuple[str, str]:
    try:
        run_id = find_run(store, name).run_id
    except RunError:
        run_id = name
    if run_id not in sessions:
        raise RunError(
            f"there is no session {name!r}, nor a run of that name in one",
            hint=suggestion(name, set(sessions.values()), noun="session"),
        )
    return run_id, sessions[run_id]


def _wired(node: Any) -> dict[str, Any]:
    """Return the objects, by name, whose outputs a node was given."""
    channels = list(node.inputs.values())
    wired: dict[str, Any] = {}
    while channels:
        channel = channels.pop()
        channels += list(getattr(channel, "channels", ()))
        producer = getattr(channel, "producer_component", None)
        if producer is not None:
            wired[producer.id] = producer
    return wired
