"""A session as a pipeline file."""

from __future__ import annotations

import json
import keyword
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from penstock import _tfx, ir
from penstock.authoring import artifacts, values
from penstock.authoring.options import TRIGGERS
from penstock.errors import PenstockError
from penstock.project.clusters import Cluster, cluster_of
from penstock.project.intervals import written_interval
from penstock.project.pods import PodOptions
from penstock.project.retrying import Retries
from penstock.project.tables import as_table
from penstock.surfaces.notebook.cells import grouped
from penstock.surfaces.notebook.code import CellModules
from penstock.surfaces.notebook.code_text import (
    Code,
    Group,
    Imports,
    Text,
    layout,
    string,
    value,
)
from penstock.surfaces.notebook.definitions import Definition, Ran, Source, in_order

_IMPORTER = "tfx.dsl.components.common.importer.Importer"
_RESOLVER = "tfx.dsl.components.common.resolver.Resolver"
_BLESSED = "LatestBlessedModelStrategy"
_LATEST = "LatestOrNothing"


class ExportError(PenstockError):
    """Some nodes of a session cannot be written as code; `reasons` has one for each."""

    def __init__(self, reasons: list[str]) -> None:
        super().__init__(
            "the session cannot be exported yet: " + "; ".join(reasons),
            hint="Change these cells and run them again, or leave a node out with "
            "session.forget(name).",
        )
        self.reasons = reasons


@dataclass(frozen=True)
class Exported:
    """What an export has written: the pipeline file, and the modules beside it.

    `stale` are nodes that will run again in the pipeline, since something before them was made
    anew after they ran.
    """

    path: Path
    target: str
    modules: tuple[str, ...] = ()
    stale: tuple[str, ...] = ()

    def __repr__(self) -> str:
        lines = [f"wrote {', '.join((self.path.name, *self.modules))}"]
        if self.stale:
            lines.append(
                f"{', '.join(self.stale)} ran before what they take was made anew: "
                "they will run again in the pipeline"
            )
        lines.append(f"run it: penstock run {self.target}")
        return "\n".join(lines)


def export(session: Any, ran: list[Ran], path: Path, modules: CellModules) -> Exported:
    """Write nodes as a pipeline; see `Session.export`."""
    if not ran:
        raise ExportError(["no node has run"])
    definitions = {r.node_id: r.definition for r in ran}
    text = pipeline_text(session.name, definitions, session.parameters, session.beam_args)
    beside = _modules_used(definitions.values(), modules)
    if path.name in beside:
        raise ExportError([f"{path.name} is the file of a module that the pipeline imports"])
    path.parent.mkdir(parents=True, exist_ok=True)
    for file in beside:
        if path.parent.resolve() != modules.folder.resolve():
            shutil.copyfile(modules.folder / file, path.parent / file)
    path.write_text(text, encoding="utf-8")
    function = _function_name(session.name)
    return Exported(path, f"{path}:{function}", tuple(beside), tuple(session.stale()))


def _modules_used(definitions: Any, modules: CellModules) -> list[str]:
    kinds = {d.node.node_info.type.name.rpartition(".")[0] for d in definitions}
    named = {
        p.field_value.string_value
        for d in definitions
        for key, p in d.node.parameters.parameters.items()
        if key == "module_file"
    }
    files = [f"{modules.components}.py"] if modules.components in kinds else []
    return files + [f for f in sorted(named) if (modules.folder / f).exists() and f == Path(f).name]


def pipeline_text(
    name: str,
    definitions: Mapping[str, Definition],
    parameters: Mapping[str, Any],
    beam_args: Sequence[str] = (),
) -> str:
    """Return the text of a file that defines a pipeline of these nodes.

    `beam_args` are those of the profile, which the pipeline's nodes will have without being told.

    Raises:
      ExportError: something cannot be written as code.
    """
    imports = Imports()
    imports.name("penstock", "pipeline")
    used = _parameters_used(definitions.values(), parameters)
    names = _variables(definitions, {*used, _function_name(name)})
    lines, reasons = [], []
    for definition in in_order(definitions):
        try:
            own_args = _own_beam_args(definition, beam_args)
            code = _node(definition, names, imports, own_args)
        except _CannotBeWritten as error:
            reasons.append(f"{_cell_prefix(definition)}{definition.node_id}: {error}")
            continue
        beginning = f"    {names[definition.node_id]} = "
        lines.append(beginning + layout(code, 4, len(beginning)))
        if own_args and _only_cluster(own_args) is None:
            opening = f"    {names[definition.node_id]}.with_beam_pipeline_args("
            args = Group(opening, (("", value(own_args, list[str], imports)),), ")")
            lines.append(layout(args, 4, 0))
    for definition in definitions.values():
        lines += _waits(definition, definitions, names)
    if reasons:
        raise ExportError(reasons)
    taken = {source for d in definitions.values() for source in d.producers()}
    ends = [names[n] for n in definitions if n not in taken] or list(names.values())
    signature = Group(
        f"def {_function_name(name)}(",
        tuple(
            (f"{p.name}: {p.type.__name__} = ", value(p.default, p.type, imports))
            for p in used.values()
        ),
        f") -> {imports.name('typing', 'Any').join(('list[', ']'))}:",
    )
    head = "\n\n".join("\n".join(group) for group in grouped(imports.lines))
    return (
        f'"""The pipeline {name}, from a notebook."""\n\n'
        f"from __future__ import annotations\n\n{head}\n\n\n"
        f"@pipeline(name={string(name)})\n{layout(signature, 0, 0)}\n"
        f'    """The nodes of the notebook session {name}."""\n'
        + "\n".join(lines)
        + f"\n    return [{', '.join(ends)}]\n"
    )


class _CannotBeWritten(Exception):
    """Why a node has no code."""


def _cell_prefix(definition: Definition) -> str:
    return f"cell [{definition.cell}]: " if definition.cell else ""


def _function_name(name: str) -> str:
    identifier = re.sub(r"\W", "_", name)
    identifier = f"_{identifier}" if identifier[:1].isdigit() else identifier
    return f"{identifier}_" if keyword.iskeyword(identifier) else identifier


def _variables(definitions: Mapping[str, Definition], taken: set[str]) -> dict[str, str]:
    names: dict[str, str] = {}
    for node_id in definitions:
        spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", node_id)
        name = _function_name(re.sub(r"\W", "_", spaced).lower())
        while name in {*taken, *names.values()}:
            name += "_node"
        names[node_id] = name
    return names


def _parameters_used(definitions: Any, parameters: Mapping[str, Any]) -> dict[str, Any]:
    used = {name for d in definitions for name in ir.run_parameters(d.pipeline)}
    return {name: parameter for name, parameter in parameters.items() if name in used}


def _waits(
    definition: Definition, definitions: Mapping[str, Definition], names: Mapping[str, str]
) -> Iterator[str]:
    """Yield the lines that make a node wait for others that it takes nothing from."""
    data = {s.node_id for sources in definition.sources().values() for s in sources}
    for upstream in definition.node.upstream_nodes:
        if upstream in data or upstream not in definitions:
            continue
        resolved = definitions[upstream].sources().values()
        if any(s.node_id == definition.node_id for sources in resolved for s in sources):
            continue  # LatestArtifact makes them wait itself
        yield f"    {names[definition.node_id]}.add_upstream_node({names[upstream]})"


def _own_beam_args(definition: Definition, given: Sequence[str]) -> list[str]:
    """Return Beam's arguments of a node that it has not from its profile.

    Raises:
      _CannotBeWritten: some are TFX's placeholders.
    """
    executor = ir.view(definition.pipeline).nodes[definition.node_id].executor
    placeholders = getattr(executor, "beam_pipeline_args_placeholders", None) or ()
    if not all(placeholder.HasField("value") for placeholder in placeholders):
        raise _CannotBeWritten("its Beam arguments are placeholders")
    args = [placeholder.value.string_value for placeholder in placeholders]
    return args[len(given) :] if args[: len(given)] == list(given) else args


def _only_cluster(args: Sequence[str]) -> Cluster | None:
    """Return the cluster that arguments name, where they say nothing else."""
    cluster = cluster_of(args)
    return cluster if cluster is not None and list(cluster.args) == list(args) else None


def _node(
    definition: Definition, names: Mapping[str, str], imports: Imports, beam_args: Sequence[str]
) -> Code:
    node = definition.node
    kind = node.node_info.type.name
    if kind == _IMPORTER:
        arguments, default_id = _importer(definition, imports), "Importer"
        called = imports.name("tfx.dsl.components.common.importer", "Importer")
    elif kind == _RESOLVER:
        called, arguments = _resolver(definition, names, imports)
        default_id = "Resolver"
    else:
        called, arguments = _component(definition, names, imports)
        default_id = kind.rpartition(".")[2]
    suffix = "" if definition.node_id == default_id else f".with_id({string(definition.node_id)})"
    options = _options(definition, imports, beam_args)
    call = Group(f"{called}(", arguments, ")", suffix)
    if not options:
        return call
    if kind in (_IMPORTER, _RESOLVER):  # TFX's own, which have no such method
        return Group(f"{imports.name('penstock', 'with_options')}(", (("", call), *options), ")")
    return replace(call, suffix="", call=Group(".with_options(", options, ")", suffix))


def _component(
    definition: Definition, names: Mapping[str, str], imports: Imports
) -> tuple[str, tuple[tuple[str, Code], ...]]:
    kind = definition.node.node_info.type.name
    component = _tfx.import_class_by_path(kind)
    interface = getattr(component, "interface", None)
    if interface is None:
        raise _CannotBeWritten(
            f"{kind} is not made by @component, so that nobody knows how it was called"
        )
    module = component.__module__
    if module == "__main__":
        raise _CannotBeWritten(f"{component.__name__} is in no module")
    if module.startswith("penstock.components."):
        module = "penstock.components"
    called = imports.name(module, component.__name__)
    sources, bindings = definition.sources(), definition.node.parameters.parameters
    parts: list[tuple[str, Code]] = [
        (f"{name}=", _channels(sources[name], names))
        for name in interface.inputs
        if sources.get(name)
    ]
    for name, parameter in interface.parameters.items():
        if name not in bindings or parameter.resolved:
            continue
        code = _parameter(definition, parameter, bindings[name], names, imports)
        if code is not None:
            parts.append((f"{name}=", code))
    return called, tuple(parts)


def _channels(sources: list[Source], names: Mapping[str, str]) -> Code:
    codes = [Text(_channel(source, names)) for source in sources]
    if len(codes) == 1:
        return codes[0]
    return Group("[", tuple(("", code) for code in codes), "]")


def _channel(source: Source, names: Mapping[str, str]) -> str:
    if source.node_id not in names:
        raise _CannotBeWritten(f"it takes {source.key} of {source.node_id}, which was left out")
    return f"{names[source.node_id]}.outputs[{string(source.key)}]"


def _parameter(
    definition: Definition, parameter: Any, binding: Any, names: Mapping[str, str], imports: Imports
) -> Code | None:
    which = binding.WhichOneof("value")
    if which == "runtime_parameter":
        return Text(binding.runtime_parameter.name)
    if which == "placeholder":
        return Text(_placeholder(definition, binding.placeholder, names))
    content = _content(parameter, binding)
    if not parameter.required and json.dumps(content, sort_keys=True) == values.encode(
        parameter.default
    ):
        return None
    return value(content, parameter.annotation, imports)


def _content(parameter: Any, binding: Any) -> Any:
    """Return a parameter in JSON's types, in which references stand for pipeline parameters."""
    if binding.WhichOneof("value") == "structural_runtime_parameter":
        text = ""
        for part in binding.structural_runtime_parameter.parts:
            if part.HasField("runtime_parameter"):
                name = part.runtime_parameter.name.partition("@")[0]
                text += json.dumps({values.PARAMETER_KEY: {"name": name}})
            else:
                text += part.constant_value
        return json.loads(text)
    recorded = getattr(binding.field_value, binding.field_value.WhichOneof("value"))
    is_json = parameter.scalar is None or parameter.scalar is bool
    return json.loads(recorded) if is_json and isinstance(recorded, str) else recorded


def _placeholder(definition: Definition, expression: Any, names: Mapping[str, str]) -> str:
    """Write what a parameter takes from another node's artifact."""
    operator = expression.operator
    which = operator.WhichOneof("operator_type")
    if which in ("artifact_uri_op", "artifact_value_op"):
        inner = getattr(operator, which).expression
        index = inner.operator.index_op
        key = index.expression.placeholder.key
        sources = definition.sources().get(key, [])
        if inner.operator.WhichOneof("operator_type") == "index_op" and len(sources) == 1:
            channel = _channel(sources[0], names)
            if which == "artifact_value_op" and not index.index:
                return channel
            attribute = "uri" if which == "artifact_uri_op" else "value"
            return f"{channel}.future()[{index.index}].{attribute}"
    raise _CannotBeWritten("a parameter is computed from other nodes in a way that is not known")


def _importer(definition: Definition, imports: Imports) -> tuple[tuple[str, Code], ...]:
    bindings = definition.node.parameters.parameters
    [spec] = definition.node.outputs.outputs.values()
    if spec.artifact_spec.additional_properties or spec.artifact_spec.additional_custom_properties:
        raise _CannotBeWritten("an importer with properties cannot be written yet")
    uri = bindings["artifact_uri"]
    is_parameter = uri.WhichOneof("value") == "runtime_parameter"
    parts: list[tuple[str, Code]] = [
        (
            "source_uri=",
            Text(
                uri.runtime_parameter.name if is_parameter else string(uri.field_value.string_value)
            ),
        ),
        ("artifact_type=", Text(_artifact_type(spec.artifact_spec.type.name, imports))),
    ]
    if bindings["reimport"].field_value.int_value:
        parts.append(("reimport=", Text("True")))
    return tuple(parts)


def _artifact_type(name: str, imports: Imports) -> str:
    if name not in artifacts.__all__:
        raise _CannotBeWritten(f"the artifact type {name} is none of penstock.artifacts")
    return imports.name("penstock.artifacts", name)


def _resolver(
    definition: Definition, names: Mapping[str, str], imports: Imports
) -> tuple[str, tuple[tuple[str, Code], ...]]:
    graphs = definition.node.inputs.input_graphs.values()
    kinds = {
        node.op_node.op_type.rpartition(".")[2]
        for graph in graphs
        for node in graph.nodes.values()
        if node.HasField("op_node")
    }
    if kinds == {_BLESSED}:
        return imports.name("penstock.components", "LatestBlessedModel"), ()
    taken = [key for key, spec in definition.node.inputs.inputs.items() if not spec.hidden]
    if kinds != {_LATEST} or len(taken) != 1:
        raise _CannotBeWritten(f"the resolver {', '.join(sorted(kinds))} cannot be written yet")
    called = imports.name("penstock.components", "LatestArtifact")
    [hidden] = [(k, s) for k, s in definition.node.inputs.inputs.items() if s.hidden]
    sources = definition.sources()[hidden[0]]
    if sources:
        of: Code = _channels(sources, names)
    else:
        kind = hidden[1].channels[0].artifact_query.type.name
        of = Text(_artifact_type(kind, imports))
    return called, (("", of), ("key=", Text(string(taken[0]))))


def _options(
    definition: Definition, imports: Imports, beam_args: Sequence[str]
) -> tuple[tuple[str, Code], ...]:
    """Write how a node is executed, where that is not as usual."""
    node = ir.view(definition.pipeline).nodes[definition.node_id]
    options = node.proto.execution_options
    keywords: list[tuple[str, Code]] = []
    if not options.caching_options.enable_cache:
        keywords.append(("cache=", Text("False")))
    elif node.cache_seconds:
        keywords.append(("cache=", Text(string(written_interval(node.cache_seconds)))))
    if node.retries == Retries(node.retries.count):
        if node.retries.count:
            keywords.append(("retries=", Text(str(node.retries.count))))
    else:
        keywords.append(("retries=", value(as_table(node.retries), Retries, imports)))
    if options.execution_timeout_sec:
        keywords.append(("timeout_seconds=", Text(str(options.execution_timeout_sec))))
    if options.node_success_optional:
        keywords.append(("optional=", Text("True")))
    strategy = _tfx.pipeline_pb2.NodeExecutionOptions.TriggerStrategy.Name(options.strategy)
    start = next((name for name, trigger in TRIGGERS.items() if trigger == strategy), "succeeded")
    if start != "succeeded":
        keywords.append(("start=", Text(string(start))))
    if pod := as_table(node.pod_options):
        keywords.append(("pod=", value(pod, PodOptions, imports)))
    if not node.accelerate:
        keywords.append(("accelerate=", Text("False")))
    if cluster := _only_cluster(beam_args):
        keywords.append(("cluster=", value(as_table(cluster), type(cluster), imports)))
    return tuple(keywords)
