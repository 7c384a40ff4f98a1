"""What a loop goes over, once the nodes that make it have: items are read of what they put out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from penstock import _tfx, ir
from penstock.errors import PipelineError
from penstock.execution.contents import fingerprint
from penstock.ir.loops import RETURNED, LoopSpec
from penstock.ir.unfolding import LoopValue, numbered, unfold, value_items

Outputs = Mapping[str, _tfx.Artifacts | None]


def unfold_known(pipeline: ir.Pipeline, loop: LoopSpec, outputs: Outputs) -> ir.Pipeline:
    """Return a pipeline in which a loop's nodes are there once for each item.

    `outputs` are what nodes have put out.

    Raises:
      PipelineError: what a node has returned is no list, or an item is not what a node takes.
      OSError: it cannot be read.
    """
    artifacts = [
        artifact
        for source in loop.sources
        for artifact in (outputs.get(source.node) or {}).get(source.key, ())
    ]
    return unfold(pipeline, loop, items_of(loop, artifacts))


def items_of(loop: LoopSpec, artifacts: Sequence[Any]) -> list[LoopValue]:
    """Return the items of a loop over artifacts, or over the list that is in one.

    Raises:
      PipelineError: what a node has returned is no list.
    """
    return _returned(loop, artifacts) if loop.kind == RETURNED else _artifacts(artifacts)


def _returned(loop: LoopSpec, artifacts: Sequence[Any]) -> list[LoopValue]:
    [source] = loop.sources
    returned = artifacts[0].read() if len(artifacts) == 1 else artifacts
    if not isinstance(returned, list) or len(artifacts) != 1:
        raise PipelineError(
            f"{loop.name} is to go over what {source.node} returns, and that is no list but "
            f"{returned!r:.80} ({type(returned).__name__})",
            hint="Return a list.",
        )
    return value_items(returned)


def _artifacts(artifacts: Sequence[Any]) -> list[LoopValue]:
    items = numbered(map(_told, artifacts), map(fingerprint, artifacts))
    return [
        LoopValue(item, artifact_id=int(artifact.id))
        for item, artifact in zip(items, artifacts, strict=True)
    ]


def _told(artifact: Any) -> str:
    """Return by what people know an artifact: its span, or the end of its address."""
    name = artifact.type_name
    properties = artifact.mlmd_artifact.properties
    if "span" in properties:
        return f"{name}, span {properties['span'].int_value}"
    place = "/".join(artifact.uri.rstrip("/").split("/")[-3:])
    return f"{name} {place}"
