"""Pipelines with loops of TFX's own."""

from __future__ import annotations

from typing import Any

from penstock import _tfx, with_options
from penstock.artifacts import Examples
from penstock_support.loop_components import Joined, Read, Rows


def over_two_nodes(root: str) -> Any:
    """Read what each of two nodes has made."""
    from tfx.dsl.control_flow.for_each import ForEach

    made = [Rows(name=name).with_id(f"Rows_{name}") for name in ("a", "b")]
    with ForEach(_tfx.union([node.outputs["examples"] for node in made])) as each:
        read = with_options(Read(examples=each), retries=2)
    joined = Joined(texts=read.outputs["output"])
    return _tfx.Pipeline("loops", root, components=[*made, read, joined], enable_cache=True)


def over_the_latest(root: str, count: int) -> Any:
    """Read what the latest runs have made."""
    from tfx.dsl.control_flow.for_each import ForEach

    latest = _tfx.Resolver(
        strategy_class=_tfx.LatestArtifactStrategy,
        config={"desired_num_of_artifacts": count},
        examples=_tfx.types.Channel(type=Examples),
    ).with_id("latest")
    with ForEach(latest.outputs["examples"]) as each:
        read = Read(examples=each)
    return _tfx.Pipeline("loops", root, components=[latest, read])
