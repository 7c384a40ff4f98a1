"""What can be told of a project's pipelines without running them: do they compile, and fit."""

from __future__ import annotations

import io
import time
from collections.abc import Iterator
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

from penstock import ir
from penstock.errors import PenstockError
from penstock.operations.delivery.checks import Check, State, as_json
from penstock.operations.delivery.contracts import check_contracts
from penstock.operations.delivery.describing import ROOT, stand_ins
from penstock.operations.delivery.features import check_schema
from penstock.operations.delivery.requests import Request
from penstock.project.config import FILE_NAME, Config, read_config
from penstock.project.profiles import Profile
from penstock.project.user_code import folded
from penstock.report.wording import counted
from penstock.runners.kubeflow.compile.compiling import compile_for_kubeflow

COMPILES = "compile"
COMPILES_FOR_KUBEFLOW = "compile for Kubeflow"


def answer(request: Request) -> dict[str, Any]:
    """Check the pipelines of a request, as JSON has it."""
    config = read_config(Path(request.folder, FILE_NAME))
    names = request.only or sorted(config.pipelines)
    with redirect_stdout(io.StringIO()):
        checks = [check for name in names for check in examine(name, config)]
    return {"checks": [as_json(check) for check in checks]}


def examine(name: str, config: Config) -> Iterator[Check]:
    """Yield whether a pipeline compiles under each profile, fits together, and reads its schema."""
    began = time.monotonic()
    try:
        definition = config.load_pipeline(name)
    except (Exception, SystemExit) as error:  # whatever the user's code does
        yield Check(COMPILES, State.FAILED, _told(error), name, seconds=time.monotonic() - began)
        return
    compiled = None
    for profile_name, profile in sorted(config.profiles.items()):
        check, compiled_here = _compiled(name, definition, profile_name, profile)
        yield check
        if profile.kubeflow is not None and compiled_here is not None:
            yield _compiled_for_kubeflow(name, definition, profile_name, profile, config)
        compiled = compiled or compiled_here
    if compiled is None:
        return
    pipeline = ir.view(ir.bind(compiled, run_id="checked", parameters=stand_ins(compiled)))
    yield from check_contracts(pipeline, name)
    yield from check_schema(pipeline, name, str(config.folder))


def _compiled(name: str, definition: Any, profile_name: str, profile: Profile) -> tuple[Check, Any]:
    began = time.monotonic()
    try:
        compiled = ir.compile_pipeline(definition, pipeline_root=ROOT, beam_args=profile.beam_args)
        given = profile.parameters.get(str(compiled.pipeline_info.id), {})
        ir.check_parameters(compiled, {n: v for n, v in given.items() if v is not None})
        ir.check_used(definition, compiled, given)
    except (Exception, SystemExit) as error:  # whatever the user's code does
        took = time.monotonic() - began
        return Check(COMPILES, State.FAILED, _told(error), name, profile_name, seconds=took), None
    took = time.monotonic() - began
    message = counted(len(compiled.nodes), "node")
    return Check(COMPILES, State.PASSED, message, name, profile_name, seconds=took), compiled


def _compiled_for_kubeflow(
    name: str, definition: Any, profile_name: str, profile: Profile, config: Config
) -> Check:
    began = time.monotonic()
    options = profile.kubeflow
    if options is None or not options.image:
        return Check(
            COMPILES_FOR_KUBEFLOW,
            State.SKIPPED,
            "the profile names no image yet",
            name,
            profile_name,
        )
    try:
        compiled = compile_for_kubeflow(definition, profile, config.folder)
    except (Exception, SystemExit) as error:  # whatever the user's code does
        state, message = State.FAILED, _told(error)
    else:
        warnings = "; ".join(compiled.warnings)
        state = State.WARNED if warnings else State.PASSED
        message = warnings or f"version {compiled.fingerprint}"
    took = time.monotonic() - began
    return Check(COMPILES_FOR_KUBEFLOW, state, message, name, profile_name, seconds=took)


def _told(error: BaseException) -> str:
    return str(error) if isinstance(error, PenstockError) else folded(error)
