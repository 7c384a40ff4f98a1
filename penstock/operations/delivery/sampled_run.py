"""A run of a pipeline on a sample, in a root and a store of its own, without what deploys."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from penstock import _tfx, ir
from penstock.errors import PenstockError
from penstock.execution.resolution import node_parameters
from penstock.ir.reading import placeholder_keys
from penstock.operations.delivery.checks import FOLDER, Check, State, as_json
from penstock.operations.delivery.requests import Request
from penstock.operations.delivery.sampling import READERS, Sample, source_of, take_sample
from penstock.operations.starting.preparing import Prepared, prepare
from penstock.project.config import FILE_NAME, Config, read_config
from penstock.project.user_code import folded
from penstock.report.wording import counted
from penstock.runners.local import NodeResult, RunResult
from penstock.runners.local import State as NodeState
from penstock.runners.local.display import Silent
from penstock.safety import containment

NAME = "sampled run"
_BASE = "input_base"
_RUN = "sampled"


def answer(request: Request) -> dict[str, Any]:
    """Run the one pipeline of a request on a sample, and say what came of it."""
    config = read_config(Path(request.folder, FILE_NAME))
    [name] = request.only
    began = time.monotonic()
    try:
        check = run_on_sample(name, config, request)
    except PenstockError as error:
        check = Check(NAME, State.FAILED, str(error), name)
    except (Exception, SystemExit) as error:  # whatever the user's code does
        check = Check(NAME, State.FAILED, folded(error), name)
    took = round(time.monotonic() - began, 3)
    return {"checks": [as_json(replace(check, seconds=took))]}


def run_on_sample(name: str, config: Config, request: Request) -> Check:
    """Run a pipeline through all its gates on rows that are chosen once, and kept.

    What is read from other nodes is made first, and a sample of that is taken.

    Raises:
      PenstockError: it does not compile, or there is no sample to be had.
    """
    folder = config.folder / FOLDER
    own = containment.name(name, "a pipeline's name")
    place = folder / "runs" / own
    shutil.rmtree(place, ignore_errors=True)
    definition = config.load_pipeline(name)
    profile = replace(
        config.profile(request.profile or None),
        pipeline_root=str(place),
        metadata=str(place / "metadata.sqlite"),
        openlineage="",
        beam_args=(),
    )
    place.mkdir(parents=True)
    prepared = prepare(
        definition,
        name,
        profile,
        {},
        events=False,
        display=Silent(),
        without_deployment=True,
    )
    values = {**_needed(prepared), **prepared.parameters}
    prepared = replace(prepared, parameters=values)
    bound = ir.view(ir.bind(prepared.compiled, run_id=_RUN, parameters=values))
    containers = [node.id for node in bound if node.is_container]
    if containers:
        message = f"{', '.join(containers)} is a container of its own, which is run on a cluster"
        return Check(NAME, State.SKIPPED, message, name)
    samples = folder / "samples" / own
    taken, prepared, failure = _sampled(prepared, bound, samples, config, request)
    if failure is not None:
        return replace(_judged(failure, taken), pipeline=name)
    result = prepared.runner.run(
        prepared.compiled,
        parameters=prepared.parameters,
        definition=name,
        raise_on_failure=False,
    )
    return replace(_judged(result, taken), pipeline=name)


def _needed(prepared: Prepared) -> dict[str, Any]:
    """Refuse parameters that nobody has given a value.

    Raises:
      ParameterError: there is one.
    """
    return ir.effective_parameters(prepared.compiled, prepared.parameters)


@dataclass(frozen=True)
class _Taken:
    """The samples by node, and the nodes whose input none could be taken of."""

    samples: Mapping[str, Sample]
    unsampled: tuple[str, ...] = ()

    @property
    def is_everything(self) -> bool:
        """Whether the nodes see all rows that there are."""
        return all(sample.is_everything for sample in self.samples.values())

    def __str__(self) -> str:
        told = [
            f"{counted(sample.rows, 'row')} for {node}" + (" (all)" if sample.is_everything else "")
            for node, sample in self.samples.items()
        ]
        told += [f"all that {node} reads" for node in self.unsampled]
        return ", ".join(told) or "no data to take a sample of"


def _sampled(
    prepared: Prepared, bound: ir.Pipeline, folder: Path, config: Config, request: Request
) -> tuple[_Taken, Prepared, RunResult | None]:
    """Return the pipeline with samples in the place of its data, or how making these failed."""
    readers = [node for node in bound if node.kind.rpartition(".")[2] in READERS]
    others = {node.id: _maker(node) for node in readers}
    makers = {maker[0] for maker in others.values() if maker is not None}
    made = None
    if makers:
        made = prepared.runner.run(
            prepared.compiled,
            parameters=prepared.parameters,
            to_nodes=tuple(makers),
            raise_on_failure=False,
        )
        if not made.succeeded:
            return _Taken({}), prepared, made
    samples: dict[str, Sample] = {}
    unsampled: list[str] = []
    for node in readers:
        parameters = node_parameters(node)
        maker = others[node.id]
        name = str(parameters.get(_BASE, ""))
        if maker is not None and made is not None:
            name = ".".join(maker)
            parameters = {**parameters, _BASE: made.output(*maker).uri}
        source = source_of(node.kind, parameters, _portable(name, config.folder))
        if source is None:
            unsampled.append(node.id)
            continue
        # What another node makes may be another today: that sample is of what it has made now.
        anew = request.anew or maker is not None
        own = containment.name(node.id, "a node's name")
        samples[node.id] = take_sample(source, folder / own, request.rows, anew=anew)
    compiled = _with_inputs(prepared.compiled, {n: s.folder for n, s in samples.items()})
    left = ir.run_parameters(compiled)
    parameters = {name: value for name, value in prepared.parameters.items() if name in left}
    replaced = replace(prepared, compiled=compiled, parameters=parameters)
    return _Taken(samples, tuple(unsampled)), replaced, None


def _portable(name: str, folder: Path) -> str:
    path = os.path.realpath(name)
    top = os.path.realpath(folder)
    return os.path.relpath(path, top) if path.startswith(top + os.sep) else name


def _maker(node: ir.Node) -> tuple[str, str] | None:
    """Return the node and the output whose address is the input's folder, None if it is given."""
    given = dict(node.proto.parameters.parameters)
    if _BASE not in given or not given[_BASE].HasField("placeholder"):
        return None
    expression = given[_BASE].placeholder
    keys = set(placeholder_keys(expression)) & set(node.proto.inputs.inputs)
    if len(keys) != 1 or not expression.operator.HasField("artifact_uri_op"):
        return None  # a folder below it, or a text that is made of several
    channels = node.proto.inputs.inputs[keys.pop()].channels
    if len(channels) != 1 or channels[0].producer_node_query.id not in node.upstream:
        return None
    return str(channels[0].producer_node_query.id), str(channels[0].output_key)


def _with_inputs(pipeline: _tfx.PipelineProto, folders: Mapping[str, str]) -> _tfx.PipelineProto:
    """Return a copy of the IR in which ExampleGens read other folders."""
    copied = type(pipeline)()
    copied.CopyFrom(pipeline)
    for entry in copied.nodes:
        folder = folders.get(entry.pipeline_node.node_info.id)
        if folder is not None:
            value = entry.pipeline_node.parameters.parameters[_BASE]
            value.Clear()
            value.field_value.string_value = folder
    return copied


def _judged(result: RunResult, taken: _Taken) -> Check:
    """Return what a sampled run came to.

    A model that is not blessed on a part of the rows is a warning: that says little of all of them.
    """
    broken = [node for node in result.nodes.values() if node.state is NodeState.FAILED]
    broken = [node for node in broken if not node.optional]
    on = f"on {taken}"
    if broken or not result.succeeded:
        first = broken[0] if broken else next(iter(result.nodes.values()))
        return Check(
            NAME,
            State.FAILED,
            f"{first.node_id} failed {on}: {first.error or result.state.value}",
            where=first.log_path or f"node {first.node_id}",
            hint="Its log has the rest.",
        )
    refusals = [text for node in result.nodes.values() for text in _refusals(node)]
    if refusals:
        state = State.FAILED if taken.is_everything else State.WARNED
        return Check(NAME, state, f"not blessed {on}: {'; '.join(refusals)}")
    return Check(NAME, State.PASSED, f"{counted(len(result.nodes), 'node')} {on}")


def _refusals(node: NodeResult) -> list[str]:
    """Return why a node's blessings are none."""
    told: list[str] = []
    for artifacts in node.outputs.values():
        for artifact in artifacts:
            if artifact.type_name not in ("ModelBlessing", "InfraBlessing"):
                continue
            # TFX's InfraValidator says it in words.
            said = artifact.get_string_custom_property("blessing_status")
            blessed = artifact.get_int_custom_property("blessed") == 1 or said == "INFRA_BLESSED"
            reasons = artifact.get_string_custom_property("failures")
            if not blessed:
                told += json.loads(reasons) if reasons else [f"{node.node_id} says no"]
    return told
