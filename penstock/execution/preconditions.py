"""What must hold before the first node of a run begins."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

from penstock import ir
from penstock.errors import ParameterError, PipelineError
from penstock.execution import references
from penstock.execution.cache import CODE_PARAMETERS
from penstock.safety.containment import inside, is_name


def check(pipeline: Any, node_ids: Iterable[str] | None = None) -> None:
    """Check bound IR: its names, the secrets that it refers to and the code that it names.

    With `node_ids` only the secrets of these nodes must be there.

    Raises:
      PipelineError: a name would lead out of the pipeline's root.
      DataError: a symbolic link below the root does.
      ParameterError: a secret is not there, or an artifact would choose the code that runs.
    """
    _check_names(pipeline)
    _check_folders(pipeline)
    for node in ir.nodes(pipeline):
        for key, value in node.parameters.parameters.items():
            if key in CODE_PARAMETERS and value.WhichOneof("value") == "placeholder":
                raise ParameterError(
                    f"node {node.node_info.id}, parameter {key!r}: the code that runs cannot be "
                    "named by an artifact",
                    hint="Name it in the pipeline.",
                )
    references.check(pipeline, node_ids)


def _check_names(pipeline: Any) -> None:
    run_id = pipeline.runtime_spec.pipeline_run_id.field_value.string_value
    named = [("the pipeline's name", pipeline.pipeline_info.id), ("the run's name", run_id)]
    for node in ir.nodes(pipeline):
        node_id = node.node_info.id
        named.append(("a node's name", node_id))
        named += [(f"the name of an output of node {node_id}", key) for key in node.outputs.outputs]
    for what, text in named:
        if not is_name(text) or text.startswith("."):
            raise PipelineError(
                f"{what} becomes a folder, so it cannot be {text!r}",
                hint="Use letters, digits, dashes and underscores, and dots but at the beginning.",
            )


def _check_folders(pipeline: Any) -> None:
    """Check where runs write, rename and remove: links there would lead to what is others'."""
    root = pipeline.runtime_spec.pipeline_root.field_value.string_value
    inside(root, os.path.join(root, ".runs"))
    for node in ir.nodes(pipeline):
        folder = os.path.join(root, node.node_info.id)
        for kept in (".system", ".system/executor_execution", ".system/stateful_working_dir"):
            inside(root, os.path.join(folder, kept))
        for key in node.outputs.outputs:
            inside(root, os.path.join(folder, key))
