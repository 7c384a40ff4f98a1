"""What must hold before the first node of a run begins."""

from __future__ import annotations

import os
from collections.abc import Iterable

from penstock import ir
from penstock.errors import ParameterError, PipelineError
from penstock.execution import references
from penstock.execution.cache import CODE_PARAMETERS
from penstock.metadata import layout
from penstock.safety.containment import inside, is_name


def check(pipeline: ir.Pipeline, node_ids: Iterable[str] | None = None) -> None:
    """Check bound IR: its names, the secrets that it refers to and the code that it names.

    With `node_ids` only the secrets of these nodes must be there.

    Raises:
      PipelineError: a name would lead out of the pipeline's root, or a node has no work to do.
      DataError: a symbolic link below the root does.
      ParameterError: a secret is not there, or an artifact would choose the code that runs.
    """
    _check_names(pipeline)
    _check_folders(pipeline)
    for node in pipeline:
        _check_work(node)
        for key, value in node.proto.parameters.parameters.items():
            if key in CODE_PARAMETERS and value.WhichOneof("value") == "placeholder":
                raise ParameterError(
                    f"node {node.id}, parameter {key!r}: the code that runs cannot be "
                    "named by an artifact",
                    hint="Name it in the pipeline.",
                )
    references.check(pipeline, node_ids)


def _check_names(pipeline: ir.Pipeline) -> None:
    if not pipeline.root:
        raise PipelineError(
            f"pipeline {pipeline.name} has no root, and nothing can be written",
            hint="Compile it with one.",
        )
    named = [("the pipeline's name", pipeline.name), ("the run's name", pipeline.run_id)]
    for node in pipeline:
        named.append(("a node's name", node.id))
        named += [(f"the name of an output of node {node.id}", key) for key in node.output_keys]
    for what, text in named:
        if not is_name(text) or text.startswith("."):
            raise PipelineError(
                f"{what} becomes a folder, so it cannot be {text!r}",
                hint="Use letters, digits, dashes and underscores, and dots but at the beginning.",
            )


def _check_work(node: ir.Node) -> None:
    if node.executor is None and not (node.works_in_store or node.is_left_out):
        raise PipelineError(
            f"node {node.id} has no executor: a {node.kind.rpartition('.')[2]} is work for a "
            "person, or for another orchestrator",
            hint="Leave the node out, or run the parts before and after it with --to and --from.",
        )


def _check_folders(pipeline: ir.Pipeline) -> None:
    """Check where runs write, rename and remove: links there would lead to what is others'."""
    root = pipeline.root
    inside(root, os.path.join(root, layout.RUNS))
    for node in pipeline:
        inside(root, os.path.join(node.folder, layout.SYSTEM))
        for folder in layout.working_folders(node.folder):
            inside(root, folder)
        for key in node.output_keys:
            inside(root, os.path.join(node.folder, key))
