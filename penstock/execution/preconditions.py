"""What must hold before the first node of a run begins."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from penstock import ir
from penstock.containment import is_name
from penstock.errors import ParameterError, PipelineError
from penstock.execution import references
from penstock.execution.cache import CODE_PARAMETERS


def check(pipeline: Any, node_ids: Iterable[str] | None = None) -> None:
    """Check bound IR: its names, the secrets that it refers to and the code that it names.

    With `node_ids` only the secrets of these nodes must be there.

    Raises:
      PipelineError: a name would lead out of the pipeline's root.
      ParameterError: a secret is not there, or an artifact would choose the code that runs.
    """
    _check_names(pipeline)
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
