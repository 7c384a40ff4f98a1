"""Two runs side by side."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import click

from penstock.surfaces.cli.completion import RUN
from penstock.surfaces.cli.options import column, json_option, open_store, profile_option
from penstock.surfaces.cli.printing import echo, echo_json, secho

if TYPE_CHECKING:
    from penstock.metadata.comparison import Difference, NodeComparison, RunComparison
    from penstock.metadata.reading import ArtifactRecord
    from penstock.metadata.runs import NodeRecord

_MOST_CHARACTERS = 40


@click.command()
@click.argument("first", metavar="RUN", type=RUN)
@click.argument("second", metavar="RUN", type=RUN)
@click.option("--all", "show_all", is_flag=True, help="Also what is the same in both.")
@profile_option
@json_option
@click.pass_context
def compare(
    context: click.Context,
    first: str,
    second: str,
    show_all: bool,
    profile_name: str | None,
    as_json: bool,
) -> None:
    """Compare two runs: parameters, data, code, metrics, nodes. Only what differs is shown.

    \b
    Example:
      penstock compare 20260301-101500-a1b2c3 latest
    """
    from penstock.metadata.comparison import compare_runs

    with open_store(context, profile_name) as metadata:
        compared = compare_runs(metadata.store, first, second)
    if as_json:
        echo_json(_as_json(compared))
    else:
        _print(compared, show_all)


def _print(compared: RunComparison, show_all: bool) -> None:
    from penstock.report.wording import metric as shown
    from penstock.report.wording import when

    one, other = compared.first, compared.second
    sections: list[tuple[str, list[tuple[str, ...]]]] = [
        (
            "",
            [
                ("run", one.run_id, other.run_id),
                ("pipeline", one.pipeline_name, other.pipeline_name),
                ("began", when(one.began), when(other.began)),
                ("state", _state(one.state, one.seconds), _state(other.state, other.seconds)),
            ],
        )
    ]
    for title in ("parameters", "node_parameters", "data", "code", "artifacts"):
        differences = _chosen(getattr(compared, title), show_all)
        sections.append((title.replace("_", " "), [_row(d) for d in differences]))
    metrics: list[tuple[str, ...]] = [
        (
            metric.name,
            "–" if metric.first is None else shown(metric.name, metric.first),
            "–" if metric.second is None else shown(metric.name, metric.second),
            "" if metric.difference is None else f"{metric.difference:+.4g}",
        )
        for metric in _chosen(compared.metrics, show_all)
    ]
    sections.append(("metrics", metrics))
    nodes: list[tuple[str, ...]] = [
        (node.node_id, _node(node.first), _node(node.second))
        for node in _chosen(compared.nodes, show_all)
    ]
    sections.append(("nodes", nodes))
    everything = [row for _, rows in sections for row in rows]
    columns = [column(row[position] for row in everything) for position in (0, 1, 2)]
    lines = iter(zip(*columns, strict=True))
    for title, rows in sections:
        if title:
            secho(title, bold=True, nl=False)
            nothing = "" if getattr(compared, title.replace(" ", "_")) else "  none"
            secho(f"{nothing or '  the same'}" if not rows else "", dim=True)
        for row in rows:
            echo("  ".join(["", *next(lines), *row[3:]]).rstrip())


def _chosen(items: Iterable[Any], show_all: bool) -> list[Any]:
    return [item for item in items if show_all or item.is_different]


def _row(difference: Difference) -> tuple[str, ...]:
    one, other = _text(difference.first), _text(difference.second)
    if max(len(one), len(other)) > _MOST_CHARACTERS:
        one, other = _shortened(one, other)
    return difference.name, one, other


def _text(value: Any) -> str:
    from penstock.metadata.reading import ArtifactRecord

    if value is None:
        return "–"
    if isinstance(value, ArtifactRecord):
        return _artifact(value)
    return value if isinstance(value, str) else json.dumps(value)


def _artifact(record: ArtifactRecord) -> str:
    return f"{record.type_name} {record.artifact_id} {record.digest[:8]}".rstrip()


def _shortened(one: str, other: str) -> tuple[str, str]:
    """Leave out what is long, but show where the two begin to differ."""
    same = next((n for n, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), 0)
    start = max(0, same - _MOST_CHARACTERS // 2) if same + 8 > _MOST_CHARACTERS else 0
    return _part(one, start), _part(other, start)


def _part(text: str, start: int) -> str:
    part = text[start : start + _MOST_CHARACTERS]
    more = "…" if start + _MOST_CHARACTERS < len(text) else ""
    return f"{'…' if start and part else ''}{part}{more}"


def _state(state: str, seconds: float) -> str:
    return f"{state} {seconds:.1f} s"


def _node(node: NodeRecord | None) -> str:
    from penstock.metadata.comparison import seconds_of

    if node is None:
        return "–"
    return node.state if node.cached else _state(node.state, seconds_of(node))


def _as_json(compared: RunComparison) -> dict[str, Any]:
    content: dict[str, Any] = {
        side: {
            "run_id": run.run_id,
            "pipeline_name": run.pipeline_name,
            "state": run.state,
            "began": run.began.isoformat(),
            "seconds": run.seconds,
        }
        for side, run in (("first", compared.first), ("second", compared.second))
    }
    for title in ("parameters", "node_parameters", "data", "code", "artifacts"):
        content[title] = [
            {
                "name": d.name,
                "first": _plain(d.first),
                "second": _plain(d.second),
                "is_different": d.is_different,
            }
            for d in getattr(compared, title)
        ]
    content["metrics"] = [{**vars(m), "difference": m.difference} for m in compared.metrics]
    content["nodes"] = [_node_as_json(node) for node in compared.nodes]
    return content


def _node_as_json(compared: NodeComparison) -> dict[str, Any]:
    from penstock.metadata.comparison import seconds_of

    content: dict[str, Any] = {"node_id": compared.node_id}
    for side, node in (("first", compared.first), ("second", compared.second)):
        content[side] = node and {"state": node.state, "seconds": seconds_of(node)}
    return content


def _plain(value: Any) -> Any:
    from penstock.metadata.reading import ArtifactRecord

    if isinstance(value, ArtifactRecord):
        return {
            "id": value.artifact_id,
            "type": value.type_name,
            "uri": value.uri,
            "digest": value.digest,
        }
    return value
