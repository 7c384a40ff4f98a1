"""Whether the engines that nodes name are there: clusters, Beam's runners and its job services."""

from __future__ import annotations

from collections.abc import Iterable

from penstock import ir
from penstock.authoring.beam import BeamOptions
from penstock.errors import ParameterError, PenstockError, PipelineError
from penstock.execution.acceleration import OF_TFX, is_stand_in
from penstock.safety import secrets


def check(pipeline: ir.Pipeline, node_ids: Iterable[str] | None = None) -> None:
    """Check what nodes, all where `node_ids` names none, say about Beam and clusters.

    Raises:
      PipelineError: there is no such runner, argument or cluster; it names the first such node.
    """
    asked = None if node_ids is None else set(node_ids)
    seen: set[BeamOptions] = set()
    for node in pipeline:
        if asked is not None and node.id not in asked:
            continue
        options = options_of(node)
        if options in seen:
            continue
        seen.add(options)
        try:
            check_options(options)
        except PenstockError as error:
            raise PipelineError(f"node {node.id}: {error.message}", hint=error.hint) from error


def check_options(options: BeamOptions) -> None:
    """Check options that may refer to variables, whose values are in no error.

    Where one is not set, it is left to the run, which says so.

    Raises:
      PenstockError: there is no such runner, argument or cluster.
    """
    try:
        args = tuple(map(secrets.resolve, options.args))
    except ParameterError:
        return
    try:
        BeamOptions(args).check()
    except PenstockError as error:
        redaction = secrets.redaction_for("\n".join(options.args).encode())
        hint = None if error.hint is None else redaction.text(error.hint)
        raise PenstockError(redaction.text(error.message), hint=hint) from None


def options_of(node: ir.Node) -> BeamOptions:
    """Return what a node of ours is asked with, as far as it is known before it runs.

    What TFX's own executors are asked with, the user's code may read.
    """
    path = node.executor_path or ""
    if path.startswith(OF_TFX) or is_stand_in(path):
        return BeamOptions()
    arguments = getattr(node.executor, "beam_pipeline_args_placeholders", None) or ()
    texts = (arg.value.string_value for arg in arguments)
    return BeamOptions(tuple(text for text in texts if text))
