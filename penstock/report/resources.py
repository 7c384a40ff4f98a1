"""What the nodes of a run have taken of their machine, over time."""

from __future__ import annotations

from dataclasses import dataclass

from markupsafe import Markup

from penstock.execution.resources import Resources, read_resources
from penstock.metadata.layout import resources_path
from penstock.report import sparklines
from penstock.report.contents import RunContents, RunNode
from penstock.report.wording import duration, quantity, size

# Of less than this nothing can be seen over time.
_LEAST_SECONDS = 0.5


@dataclass(frozen=True)
class Chart:
    """A picture of what was taken over time, and its words: of what, and what it came to.

    There is no picture of what took too short a time.
    """

    title: str
    told: str
    picture: Markup
    names: tuple[str, ...] = ()


@dataclass(frozen=True)
class NodeResources:
    """What one node has taken, as it was measured while it worked."""

    node_id: str
    seconds: float
    charts: tuple[Chart, ...]


def resources_of_run(contents: RunContents) -> tuple[NodeResources, ...]:
    """Return what the nodes of a run have taken, as far as its folder says it."""
    found = (resources_of_node(contents, node) for node in contents.nodes)
    return tuple(each for each in found if each is not None)


def resources_of_node(contents: RunContents, node: RunNode) -> NodeResources | None:
    """Return what a node has taken; None where nothing was measured, as of one that is cached."""
    if not contents.log_folder or node.record is None or node.record.cached:
        return None
    taken = read_resources(resources_path(contents.log_folder, node.node_id))
    if taken is None:
        return None
    return NodeResources(node.node_id, taken.seconds, tuple(_charts(node, taken)))


def _charts(node: RunNode, taken: Resources) -> list[Chart]:
    measured = node.record.measured if node.record else {}
    cpu_seconds = measured.get("cpu_seconds", taken.cpu_seconds)
    # Between two samples it may have had more for a moment, which the system counts.
    memory = max(taken.peak_memory_bytes, int(measured.get("peak_memory_bytes", 0)))
    span = taken.seconds
    cores = f"{duration(cpu_seconds)} in all"
    if taken.cores():
        cores = f"at most {_cores(taken.peak_cores)}, {cores}"
    charts = [
        _chart(node, span, "CPU", cores, {"": taken.cores()}),
        _chart(node, span, "Memory", f"at most {size(memory)}", {"": taken.memory()}),
    ]
    if taken.read_bytes is not None:
        moved = f"{size(taken.read_bytes)} read, {size(taken.written_bytes)} written"
        lines = {"read": taken.reading(), "written": taken.writing()}
        charts.append(_chart(node, span, "Read and written", moved, lines))
    if taken.peak_disk_bytes:
        told = f"at most {size(taken.peak_disk_bytes)}"
        charts.append(_chart(node, span, "Disk", told, {"": taken.disk()}))
    return charts


def _chart(
    node: RunNode,
    seconds: float,
    title: str,
    told: str,
    lines: dict[str, tuple[tuple[float, float], ...]],
) -> Chart:
    if seconds < _LEAST_SECONDS:
        return Chart(title, told, Markup(""))
    label = f"{title} of {node.node_id} over {duration(seconds)}: {told}"
    names = tuple(name for name in lines if name)
    return Chart(title, told, sparklines.draw(list(lines.values()), seconds, label), names)


def _cores(count: float) -> str:
    return f"{quantity(round(count, 1))} {'core' if round(count, 1) == 1 else 'cores'}"
