"""From a folder to the description of the project in it; its code is imported on the way."""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import redirect_stdout, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

from penstock import _tfx, ir
from penstock.errors import PenstockError
from penstock.execution.cache import CODE_PARAMETERS, code_files, code_imports, unfollowed
from penstock.execution.resolution import node_parameters
from penstock.metadata.executions import node_executions
from penstock.metadata.runs import read_node
from penstock.metadata.store import NoStore, connect, connection_config
from penstock.operations.delivery.descriptions import (
    Foreseen,
    InputFile,
    NodeDescription,
    PipelineDescription,
    ProjectDescription,
    fingerprint_of,
)
from penstock.operations.delivery.inputs import read_inputs
from penstock.operations.delivery.requests import Request
from penstock.project.config import Config, read_config
from penstock.project.intervals import written_interval
from penstock.project.profiles import Profile
from penstock.project.tables import as_table
from penstock.project.user_code import folded, package_root
from penstock.runners.local import LocalRunner
from penstock.safety import secrets

# Where runs are, as far as a description says: nowhere.
ROOT = "/pipeline-root"
# Larger files count by their size, and their lines are not told.
_LARGEST_TEXT = 1_000_000
_LARGEST_DIGESTED = 64_000_000
# Names of TFX's compiler for parts of a resolver's graph.
_MADE_UP = re.compile(r"(?<![\w.])(_generated_[a-z]+|graph|op|dict|input)_\d+\b")
_TIMES_LOOKED_AT = 5
_EXECUTIONS_LOOKED_AT = 50


@dataclass(frozen=True)
class _Place:
    """Where a project lies: `top` is the folder of the repository around it, or its own."""

    folder: Path
    top: Path

    def portable(self, text: str) -> str:
        """Return a text in which paths below the folders are told from the project's folder on."""
        for base, prefix in self._bases():
            if base in text:
                above = f"{prefix}{os.sep}" if prefix else ""
                text = text.replace(f"{base}{os.sep}", above).replace(base, prefix or ".")
        return text

    def _bases(self) -> Iterator[tuple[str, str]]:
        prefix = os.path.relpath(self.top, self.folder)
        for path, above in ((self.folder, ""), (self.top, "" if prefix == "." else prefix)):
            for form in dict.fromkeys([str(path), os.path.realpath(path)]):
                yield form, above

    def name(self, file: str) -> str:
        """Return a file from the project's folder on; others from where they are imported."""
        path = Path(os.path.realpath(file))
        if path.is_relative_to(os.path.realpath(self.top)):
            return os.path.relpath(path, os.path.realpath(self.folder))
        return str(path.relative_to(package_root(path)))


def describe_project(
    folder: Path,
    top: Path,
    profile_name: str | None = None,
    *,
    with_store: bool = False,
    only: Iterable[str] = (),
) -> ProjectDescription:
    """Describe the project of a folder's penstock.toml, all of its pipelines or only some.

    What does not import or compile is told in the description. With the store of the profile it
    says what would run, too.
    """
    place = _Place(folder, top)
    try:
        config = read_config(folder / "penstock.toml")
        profile, notes = _profile(config, profile_name)
    except PenstockError as error:
        return ProjectDescription(error=place.portable(str(error)))
    inputs = read_inputs(folder, top)
    texts: dict[str, str] = {}
    described = {
        name: _describe_pipeline(name, config, profile, place, inputs, texts, with_store)
        for name in sorted(config.pipelines)
        if not only or name in only
    }
    options = profile.kubeflow
    images = {"image": options.image, "core_image": options.core_image} if options else {}
    return ProjectDescription(
        described,
        inputs,
        {name: image for name, image in images.items() if image},
        texts,
        tuple(sorted(place.name(f) for f in modules_of(Path(os.path.realpath(top))).values())),
        tuple(notes),
    )


def _profile(config: Config, name: str | None) -> tuple[Profile, list[str]]:
    if name is not None and name not in config.profiles:
        return Profile(name=name), [f"there is no profile {name!r}: pipelines have their defaults"]
    return config.profile(name), []


def _describe_pipeline(
    name: str,
    config: Config,
    profile: Profile,
    place: _Place,
    inputs: Mapping[str, InputFile],
    texts: dict[str, str],
    with_store: bool,
) -> PipelineDescription:
    target = config.pipelines[name]
    try:
        with redirect_stdout(io.StringIO()):
            definition = config.load_pipeline(name)
            described = _describe(definition, config, profile, place, inputs, texts)
    except PenstockError as error:
        return PipelineDescription(name, target, error=place.portable(str(error)))
    except (Exception, SystemExit) as error:  # whatever the user's code does
        return PipelineDescription(name, target, error=place.portable(folded(error)))
    if with_store:
        foreseen, reason = _foresee(definition, described.name, profile)
        described = replace(described, foreseen=foreseen, unforeseen=place.portable(reason))
    return replace(described, place=target)


def _describe(
    definition: Any,
    config: Config,
    profile: Profile,
    place: _Place,
    inputs: Mapping[str, InputFile],
    texts: dict[str, str],
) -> PipelineDescription:
    compiled = ir.compile_pipeline(definition, pipeline_root=ROOT, beam_args=profile.beam_args)
    own_name = str(compiled.pipeline_info.id)
    parameters = profile.parameters.get(own_name, {})
    ir.check_used(definition, compiled, parameters)
    nodes = _describe_nodes(compiled, parameters, place, texts)
    settings = _settings(config, own_name, place)
    plain = nodes
    if parameters or profile.beam_args:
        unset = ir.compile_pipeline(definition, pipeline_root=ROOT)
        plain = _describe_nodes(unset, {}, place, {})
    fingerprint = fingerprint_of(plain, settings, inputs)
    return PipelineDescription(own_name, nodes=nodes, settings=settings, fingerprint=fingerprint)


def _settings(config: Config, name: str, place: _Place) -> dict[str, Any]:
    """Return what the profiles say of a pipeline, without where runs and records are."""
    settings: dict[str, Any] = {}
    for profile_name, profile in sorted(config.profiles.items()):
        said: dict[str, Any] = {}
        if parameters := profile.parameters.get(name):
            said["parameters"] = secrets.map_texts(dict(parameters), place.portable)
        if profile.beam_args:
            said["beam_args"] = [place.portable(argument) for argument in profile.beam_args]
        if profile.kubeflow is not None and profile.kubeflow.nodes:
            said["nodes"] = {n: as_table(p) for n, p in sorted(profile.kubeflow.nodes.items())}
        if said:
            settings[profile_name] = said
    return settings


def _describe_nodes(
    compiled: _tfx.PipelineProto,
    parameters: Mapping[str, Any],
    place: _Place,
    texts: dict[str, str],
) -> dict[str, NodeDescription]:
    given = {**stand_ins(compiled), **parameters}
    pipeline = ir.view(ir.bind(compiled, run_id="described", parameters=given))
    return {node.id: _describe_node(node, place, texts) for node in pipeline}


def stand_ins(compiled: _tfx.PipelineProto) -> dict[str, Any]:
    """Return values for the parameters that a run would have to be given."""
    return {
        parameter.name: f"<{parameter.name}>" if parameter.type is str else parameter.type()
        for parameter in ir.run_parameters(compiled).values()
        if not parameter.has_default
    }


def _describe_node(node: ir.Node, place: _Place, texts: dict[str, str]) -> NodeDescription:
    parameters = node_parameters(node)
    code = code_files(node.executor_path, parameters)
    files, folders = _named_paths(parameters, place, texts)
    return NodeDescription(
        node.kind,
        secrets.map_texts(_definition(node), place.portable),
        secrets.map_texts(_options(node), place.portable),
        {_code_name(file, place): digest for file, digest in sorted(code.items())},
        secrets.map_texts(parameters, place.portable),
        files,
        tuple(folders),
        tuple(sorted(node.producers)),
        tuple(sorted(code_imports(node.executor_path, parameters))),
        tuple(place.portable(text) for text in unfollowed(node.executor_path, parameters)),
    )


def _code_name(file: str, place: _Place) -> str:
    return place.name(file) if os.path.isabs(file) else file


def _definition(node: ir.Node) -> dict[str, Any]:
    """Return what the pipeline says of a node that may change what it makes."""
    proto = node.proto
    computed = {
        name: _as_dict(value.placeholder)
        for name, value in proto.parameters.parameters.items()
        if value.HasField("placeholder")
    }
    wiring = {
        "inputs": {key: _wiring(spec) for key, spec in proto.inputs.inputs.items()},
        "choice of inputs": {k: _as_dict(v) for k, v in proto.inputs.input_graphs.items()},
    }
    said = {
        "type": node.kind,
        "executor": _as_dict(node.executor),
        "driver": _as_dict(node.driver),
        **_renumbered(wiring),
        "outputs": {k: _as_dict(v.artifact_spec) for k, v in proto.outputs.outputs.items()},
        "conditions": {k: _as_dict(v) for k, v in proto.inputs.conditionals.items()},
        "computed parameters": computed,
    }
    return {name: value for name, value in said.items() if value}


def _cache(node: ir.Node) -> str | None:
    if not node.is_cached:
        return "off"
    return written_interval(node.cache_seconds) if node.cache_seconds else None


def _options(node: ir.Node) -> dict[str, Any]:
    """Return what the pipeline says of how a node is run."""
    others = sorted(set(node.upstream) - node.producers)
    options = {
        "cache": _cache(node),
        "retries": node.retries.count or None,
        "pauses of retries": as_table(replace(node.retries, count=0)) or None,
        "timeout": node.timeout or None,
        "may fail": node.is_optional or None,
        "waits for": ", ".join(others) or None,
        "pod": as_table(node.pod_options) or None,
        "strategy": _strategy(node),
    }
    return {name: value for name, value in options.items() if value is not None}


def _strategy(node: ir.Node) -> str | None:
    """Return when a node starts, None for after all others have succeeded."""
    options = node.proto.execution_options
    names = options.DESCRIPTOR.fields_by_name["strategy"].enum_type.values_by_number
    # 0 and 1 both say that all before it have succeeded.
    return names[options.strategy].name if options.strategy > 1 else None


def _wiring(spec: _tfx.InputSpec) -> Any:
    """Return where an input comes from: `Trainer.model`, or a query in full."""
    if spec.channels and all(channel.producer_node_query.id for channel in spec.channels):
        return [f"{c.producer_node_query.id}.{c.output_key}" for c in spec.channels]
    return _as_dict(spec)


def _renumbered(wiring: dict[str, Any]) -> dict[str, Any]:
    """Count the names that the compiler makes up from 1: they depend on the nodes around."""
    numbers: dict[str, str] = {}

    def number(match: re.Match[str]) -> str:
        return numbers.setdefault(match[0], f"{match[1]}_{len(numbers) + 1}")

    text = json.dumps(wiring, sort_keys=True)
    renumbered: dict[str, Any] = json.loads(_MADE_UP.sub(number, text))
    return renumbered


def _as_dict(message: Any) -> dict[str, Any]:
    from google.protobuf import json_format

    if message is None:
        return {}
    table: dict[str, Any] = json_format.MessageToDict(message, preserving_proto_field_name=True)
    return table


def _named_paths(
    parameters: Mapping[str, Any], place: _Place, texts: dict[str, str]
) -> tuple[dict[str, str], list[str]]:
    """Return the files of the repository that parameters name, with digests, and the folders."""
    files: dict[str, str] = {}
    folders: list[str] = []
    for name, value in sorted(parameters.items()):
        if name in CODE_PARAMETERS:
            continue
        for text in secrets.texts(_parsed(value)):
            path = _existing(text, place)
            if path is None:
                continue
            named = os.path.relpath(path, os.path.realpath(place.folder))
            if path.is_dir():
                folders += [named] if named != "." else []
            else:
                files[named] = _digest_of_file(path)
                if path.stat().st_size <= _LARGEST_TEXT:
                    with suppress(UnicodeDecodeError):
                        texts[named] = path.read_text(encoding="utf-8")
    return files, sorted(set(folders))


def _parsed(value: Any) -> Any:
    if isinstance(value, str) and value[:1] in ("{", "["):
        with suppress(ValueError):
            return json.loads(value)
    return value


def _existing(text: str, place: _Place) -> Path | None:
    """Return the file or folder of the repository that a text names, None if it names none."""
    if not text or len(text) > 4000 or "\0" in text or "://" in text:
        return None
    top = os.path.realpath(place.top)
    with suppress(OSError):
        path = Path(os.path.realpath(text))
        if path.exists() and path.is_relative_to(top) and str(path) != top and os.sep in text:
            return path
    return None


def _digest_of_file(path: Path) -> str:
    size = path.stat().st_size
    if size > _LARGEST_DIGESTED:
        return f"{size} bytes"
    # As lines: how a checkout writes their ends makes no difference.
    return hashlib.sha256(path.read_bytes().replace(b"\r\n", b"\n")).hexdigest()[:16]


def _foresee(definition: Any, own_name: str, profile: Profile) -> tuple[dict[str, Foreseen], str]:
    """Return what a run would do, by the profile's store, or why that is not known."""
    try:
        root = profile.root_of(own_name)
        compiled = ir.compile_pipeline(definition, pipeline_root=root, beam_args=profile.beam_args)
        own = ir.metadata_connection(compiled)
        address = None if not profile.metadata and own is not None else profile.metadata_address()
        connection: Any = own if address is None else connection_config(address)
        runner = LocalRunner(
            pipeline_root=root,
            metadata=address,
            beam_args=profile.beam_args,
            accelerate=profile.accelerate,
        )
        parameters = profile.parameters.get(own_name, {})
        with connect(connection, create=False) as metadata:
            planned = runner.plan(compiled, parameters=parameters)
            return {
                node.node_id: Foreseen(
                    node.verdict.value, node.reasons, _seconds(metadata, own_name, node.node_id)
                )
                for node in planned
            }, ""
    except NoStore:
        return {}, "there is no store yet"
    except PenstockError as error:
        return {}, str(error)
    except Exception as error:  # of a driver, or of a database's client
        return {}, folded(error)


def _seconds(metadata: Any, pipeline: str, node_id: str) -> float | None:
    """Return the median of what a node's last executions took that did their work."""
    taken: list[float] = []
    for count, execution in enumerate(node_executions(metadata.store, pipeline, node_id)):
        record = read_node(node_id, execution)
        if record.state == "done" and "wall_seconds" in record.measured:
            taken.append(record.measured["wall_seconds"])
        if len(taken) == _TIMES_LOOKED_AT or count == _EXECUTIONS_LOOKED_AT:
            break
    return median(taken) if taken else None


def modules_of(folder: Path, apart_from: Path | None = None) -> dict[str, str]:
    """Return the files of modules that are loaded from a folder, and are not installed there.

    Those below `apart_from` are left out, too.
    """
    found = {}
    ours = os.path.dirname(os.path.realpath(sys.modules["penstock"].__file__ or ""))
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__dict__", {}).get("__file__")
        if not isinstance(file, str) or name.partition(".")[0] == "penstock":
            continue
        path = Path(os.path.realpath(file))
        is_installed = {"site-packages", "dist-packages"} & set(path.parts)
        if path.is_relative_to(folder) and not is_installed and not path.is_relative_to(ours):
            is_apart = apart_from is not None and path.is_relative_to(apart_from)
            if not is_apart and not path.is_relative_to(sys.prefix):
                found[name] = str(path)
    return found


def answer(request: Request) -> dict[str, Any]:
    """Describe the project that a request names, as JSON has it."""
    description = describe_project(
        Path(request.folder),
        Path(request.top),
        request.profile or None,
        with_store=request.with_store,
        only=request.only,
    )
    if request.in_place_of:
        working_tree = Path(os.path.realpath(request.in_place_of))
        for name, file in modules_of(working_tree, Path(request.top)).items():
            reason = (
                f"the module {name} was imported from the working tree ({file}), and not from the "
                "base: it is on Python's path in a way that cannot be changed for the base"
            )
            return asdict(ProjectDescription(error=reason))
    return asdict(description)
