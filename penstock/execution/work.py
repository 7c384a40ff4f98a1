"""What a worker does for a node: run its driver or its executor, nothing else."""

from __future__ import annotations

import contextlib
import importlib
import inspect
import os
import re
import shutil
import sys
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

from penstock import _tfx, ir
from penstock._tfx import gfile
from penstock.authoring.component import NodeOutline
from penstock.authoring.node_context import NodeContext
from penstock.authoring.standing_in import NotAccelerated
from penstock.data.files import remote, tfx_files
from penstock.errors import PenstockError, PipelineError, UserCodeError
from penstock.execution import acceleration, contents, references, user_modules
from penstock.execution.acceleration import OF_TFX
from penstock.execution.cache import CODE_PARAMETERS, source_file
from penstock.execution.recording import check_properties, make_recordable
from penstock.execution.steps import OnStep, Step, ignore
from penstock.metadata.databases.opening import Handle
from penstock.metadata.databases.patience import Patience
from penstock.metadata.runs import DONE_BY_PROPERTY
from penstock.project import clusters
from penstock.project.profiles import Profile
from penstock.project.source import certain_imports
from penstock.safety import secrets
from penstock.safety.secrets import Redaction, redaction_for

Progress = Callable[..., None]

_LIBRARY = "tfx.components"
# What imports all of it, rather than a module that is in it.
_WITH_LIBRARY = re.compile(r"tfx\.v1(\..*)?|tfx\.components(\.[A-Z]\w*)?")


def run_driver(
    invocation: bytes,
    spec: Any,
    metadata_connection: _tfx.Connection,
    redaction: Redaction | None = None,
) -> bytes:
    """Run a node's custom driver and return its serialized `DriverOutput`."""
    info = _invocation(invocation)
    properties = info.exec_properties
    info.exec_properties = references.resolve_parameters(info)
    resolved = dict(info.exec_properties)
    _prepare_for(spec.class_path)
    driver_class = _tfx.import_class_by_path(spec.class_path)
    # The node's own timeout says how long all of it may take.
    patience = Patience(Profile.metadata_patience)
    driver = driver_class(Handle(metadata_connection, patience=patience))
    output = driver.run(info)
    references.take_back(output.exec_properties, properties, resolved)
    redaction = redaction or redaction_for(invocation)
    references.check_driver_output(output, redaction, info.pipeline_node.node_info.id)
    return output.SerializeToString()


def run_executor(
    invocation: bytes,
    spec: Any,
    progress: Progress | None = None,
    redaction: Redaction | None = None,
    on_step: OnStep = ignore,
    metadata_connection: _tfx.Connection | None = None,
) -> bytes:
    """Run a node's executor and return its serialized `ExecutorOutput`, without secrets.

    The contents of its output artifacts are recorded in their properties.

    Raises:
      PipelineError: the spec asks for something that does not run here.
      ParameterError: a secret is not there, or the body returned one.
    """
    info = _invocation(invocation)
    properties = info.exec_properties
    info.exec_properties = _with_local_code(references.resolve_parameters(info), info.tmp_dir)
    resolved = dict(info.exec_properties)
    node_id = info.pipeline_node.node_info.id
    output = _output_of(info, spec, progress, metadata_connection)
    on_step(Step.WORKED, node_id)
    references.take_back(output.execution_properties, properties, resolved)
    redaction = redaction or redaction_for(invocation)
    references.check_results(info.output_dict, redaction, node_id)
    output = references.redact_executor_output(output, redaction, node_id)
    make_recordable(output.execution_properties)
    check_properties(node_id, output.output_artifacts)
    for artifacts in output.output_artifacts.values():
        for artifact in artifacts.artifacts:
            contents.record(artifact)
    on_step(Step.MEASURED, node_id)
    return output.SerializeToString()


def _output_of(
    info: _tfx.ExecutionInfo,
    spec: Any,
    progress: Progress | None,
    connection: _tfx.Connection | None,
) -> Any:
    """Return what an executor puts out, or TFX's own where one of ours cannot take its place.

    Raises:
      PenstockError: ours refused the data, and TFX's own could not work on them either.
    """
    if not acceleration.is_stand_in(ir.class_path(spec)):
        return _run_executor(info, spec, progress, connection)
    given = dict(info.exec_properties)
    refusal: PenstockError | None = None
    try:
        return _run_executor(info, spec, progress, connection)
    except NotAccelerated as reason:
        done_by = acceleration.own_executor(reason.message)
    except UserCodeError:
        raise
    except PenstockError as error:
        refusal = error
        done_by = acceleration.own_executor(f"the engine refuses the data: {error}")
    sys.stdout.write(f"{done_by}\n")
    info.exec_properties = given
    for artifacts in info.output_dict.values():
        for artifact in artifacts:
            _empty(artifact.uri)
    try:
        output = _run_executor(info, acceleration.own_spec(spec), progress, connection)
    except Exception as error:
        if refusal is None:
            raise
        # It names the place, which TFX's does not.
        raise refusal from error
    output.execution_properties[DONE_BY_PROPERTY].string_value = done_by
    return output


def _empty(folder: str) -> None:
    for entry in os.scandir(folder) if os.path.isdir(folder) else ():
        if entry.is_dir(follow_symlinks=False):
            shutil.rmtree(entry.path)
        else:
            os.unlink(entry.path)


def _run_executor(
    info: _tfx.ExecutionInfo,
    spec: Any,
    progress: Progress | None,
    connection: _tfx.Connection | None,
) -> Any:
    kind = type(spec).__name__
    _prepare_for(ir.class_path(spec) or "")
    if kind == "PythonClassExecutableSpec":
        executor_class = _tfx.import_class_by_path(spec.class_path)
        context = _context(info, spec, _tfx.BaseExecutor.Context, progress)
    elif kind == "BeamExecutableSpec":
        executor_class = _tfx.import_class_by_path(spec.python_executor_spec.class_path)
        context = _beam_context(info, spec, executor_class, progress)
        if spec.python_executor_spec.class_path.startswith(OF_TFX):
            info.exec_properties = user_modules.reach_workers(
                info.exec_properties,
                context.beam_pipeline_args,
                info.pipeline_node.node_info.id,
                info.tmp_dir,
            )
    elif kind == "ContainerExecutableSpec":
        return _run_container(info, spec)
    else:
        raise PipelineError(
            f"node {info.pipeline_node.node_info.id} asks for a {kind}, which does not run here"
        )
    context.metadata_connection = connection
    return _tfx.run_with_executor(info, executor_class(context=context))


def _with_local_code(parameters: Mapping[str, Any], folder: str) -> dict[str, Any]:
    """Return parameters in which files of code in object stores are copies below a folder."""
    local = dict(parameters)
    for name in CODE_PARAMETERS:
        value = local.get(name)
        if isinstance(value, str) and remote.is_remote(value):
            local[name] = remote.fetch(value, os.path.join(folder, "code", os.path.basename(value)))
    return local


def _prepare_for(class_path: str) -> None:
    """Give TFX's own code what it needs beyond ours: TensorFlow's files, and object stores."""
    if class_path.startswith(OF_TFX):
        importlib.import_module("tensorflow")
    gfile.complete()
    if class_path.startswith("tfx."):
        tfx_files.register()


def preloads(node: ir.Node, pipeline: ir.Pipeline | None = None) -> tuple[str, ...]:
    """Return the heavy modules that a node's executor will import.

    Executors made by `@component` say so, by what the node is and, where its pipeline is given, by
    what its inputs are made with. TFX's own need TensorFlow and their module, and the whole library
    where the user's code does.
    """
    path = node.executor_path
    if path is None or path.startswith(OF_TFX):
        needed = preloads_of_driver(path)
        return (*needed, _LIBRARY) if needed and _asks_for_library(node) else needed
    modules = getattr(_tfx.import_class_by_path(path), "preload", ())
    if callable(modules):
        modules = modules(NodeOutline(node.constants, _modules_of_inputs(node, pipeline)))
    return tuple(modules)


def preloads_of_all(pipeline: ir.Pipeline, among: Collection[str] | None = None) -> tuple[str, ...]:
    """Return the heavy modules that nodes will import, by default all, TensorFlow first."""
    modules: dict[str, None] = {}
    for node_id, node in pipeline.nodes.items():
        if among is None or node_id in among:
            # Of an executor that cannot be imported its node tells.
            with contextlib.suppress(ImportError, AttributeError, ValueError):
                modules |= dict.fromkeys(preloads(node, pipeline))
    return tuple(sorted(modules, key=lambda module: module != "tensorflow"))


def preloads_follow_inputs(node: ir.Node) -> bool:
    """Whether what a node's executor imports depends on what its inputs are made with."""
    path = node.executor_path
    if path is None or path.startswith(OF_TFX):
        return False
    return callable(getattr(_tfx.import_class_by_path(path), "preload", ()))


def uses_store(node: ir.Node) -> bool:
    """Whether a node's executor talks to the metadata store, which is declared with a component."""
    path = node.executor_path
    if path is None or path.startswith(OF_TFX):
        return False
    return bool(getattr(_tfx.import_class_by_path(path), "uses_store", False))


def preloads_of_driver(class_path: str | None) -> tuple[str, ...]:
    """Return the heavy modules that a driver will import: TFX's own need TensorFlow.

    Of their library they need the module that they are in, and what that imports.
    """
    if class_path is None or not class_path.startswith(OF_TFX):
        return ()
    module = class_path.rpartition(".")[0]
    return ("tensorflow", module if module.startswith(f"{_LIBRARY}.") else _LIBRARY)


def code_files(node: ir.Node) -> Iterator[str]:
    """Yield the files of the user's code that a node's parameters name."""
    for key, value in node.proto.parameters.parameters.items():
        named = value.field_value.string_value if key in CODE_PARAMETERS else ""
        if os.path.isfile(named):
            yield named
        elif named:
            path = source_file(named if key == "module_path" else named.rpartition(".")[0])
            if path is not None and path.endswith(".py"):
                yield path


def _asks_for_library(node: ir.Node) -> bool:
    """Whether the user's code imports all of TFX's components, as `from tfx import v1` does."""
    imported: set[str] = set()
    for path in code_files(node):
        with contextlib.suppress(UserCodeError):  # the node says what is wrong with its code
            imported |= certain_imports(path)
    return any(map(_WITH_LIBRARY.fullmatch, imported))


def _modules_of_inputs(node: ir.Node, pipeline: ir.Pipeline | None) -> dict[str, tuple[str, ...]]:
    if pipeline is None:
        return {}
    return {
        key: tuple(
            module
            for name in producers
            if name in pipeline.nodes
            for module in preloads(pipeline.nodes[name], pipeline)
        )
        for key, producers in node.producers_by_input.items()
    }


def _invocation(serialized: bytes) -> Any:
    proto = _tfx.execution_invocation_pb2.ExecutionInvocation.FromString(serialized)
    return _tfx.data_types.ExecutionInfo.from_proto(proto)


def _context(
    info: _tfx.ExecutionInfo, spec: Any, context_class: Any, progress: Progress | None, **more: Any
) -> Any:
    python = getattr(spec, "python_executor_spec", spec)
    context = context_class(
        extra_flags=list(python.extra_flags),
        tmp_dir=info.tmp_dir,
        unique_id=str(info.execution_id),
        executor_output_uri=info.execution_output_uri,
        stateful_working_dir=info.stateful_working_dir,
        pipeline_node=info.pipeline_node,
        pipeline_info=info.pipeline_info,
        pipeline_run_id=info.pipeline_run_id,
        **more,
    )
    context.progress = progress or NodeContext().progress
    return context


def _beam_context(
    info: _tfx.ExecutionInfo, spec: Any, executor_class: type, progress: Progress | None
) -> Any:
    resolution = _tfx.placeholder_utils.ResolutionContext(exec_info=info, executor_spec=spec)
    args = []
    for arg in spec.beam_pipeline_args_placeholders:
        value = _tfx.placeholder_utils.resolve_placeholder_expression(arg, resolution)
        args.append(secrets.resolve_in(value) if arg.HasField("value") else value)
    # TFX's own executors insist on TFX's Beam context, which loads Beam; ours need only the
    # arguments.
    if any(base.__name__ == "BaseBeamExecutor" for base in inspect.getmro(executor_class)):
        from tfx.dsl.components.base.base_beam_executor import BaseBeamExecutor

        return _context(
            info,
            spec,
            BaseBeamExecutor.Context,
            progress,
            beam_pipeline_args=clusters.for_beam(args),
        )
    context = _context(info, spec, _tfx.BaseExecutor.Context, progress)
    context.beam_pipeline_args = args
    return context


def _run_container(info: _tfx.ExecutionInfo, spec: Any) -> Any:
    from tfx.orchestration.portable.docker_executor_operator import DockerExecutorOperator

    return DockerExecutorOperator(spec).run_executor(info)
