"""The charts of a report, with the names that say what they show."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from urllib.parse import quote

from markupsafe import Markup

from penstock.data.results.training_curves import Curve
from penstock.report import charts
from penstock.report.contents import RunContents
from penstock.report.evaluations import Evaluation, SliceRow, domain
from penstock.report.features import Feature, SplitStatistics
from penstock.report.wording import number, quantity


def run_graph(contents: RunContents, links: str = "") -> Markup:
    """Draw the nodes of a run; `links` is an address with "{}" for the node's name."""
    nodes = [
        charts.GraphNode(
            node.node_id,
            node.state,
            node.upstream,
            node.seconds,
            links.replace("{}", quote(node.node_id, safe="")) if links else "",
        )
        for node in contents.nodes
    ]
    title = f"The pipeline's {len(nodes)} nodes: {state_counts(contents)}"
    return charts.graph(nodes, title)


def distribution(feature: Feature, split: SplitStatistics) -> Markup:
    """Draw a feature's values in a split."""
    if not split.bars:
        return Markup("")
    at = max(range(len(split.bars)), key=lambda n: split.bars[n].count)
    label = f"{feature.name} in {split.split}: most often {split.labels[at]}"
    ends = (quantity(feature.domain[0]), quantity(feature.domain[1]))
    if split.is_categorical:
        ends = (split.labels[0], split.labels[-1] if len(split.labels) > 1 else "")
    return charts.histogram(split.bars, feature.domain, label, ends)


def state_counts(contents: RunContents) -> str:
    """Return how many nodes are in which state."""
    return charts.counted(Counter(node.state for node in contents.nodes))


def has_intervals(evaluation: Evaluation) -> bool:
    """Return whether an evaluation has any confidence interval."""
    rows = (evaluation.overall, *evaluation.slices)
    return any(m.lower is not None for row in rows for m in row.metrics.values())


def bounds(evaluation: Evaluation, name: str) -> tuple[float, float]:
    """Return the bounds that a metric is drawn in on all slices."""
    return domain((evaluation.overall, *evaluation.slices), name)


def slice_interval(
    evaluation: Evaluation, row: SliceRow, name: str, within: tuple[float, float]
) -> Markup:
    """Draw a metric on a slice."""
    metric = row.metrics[name]
    baseline = row.baseline.get(name)
    facts = [f"{name} on {row.name}: {number(metric.value)}"]
    if metric.lower is not None and metric.upper is not None:
        facts.append(f"95 % between {number(metric.lower)} and {number(metric.upper)}")
    if baseline:
        facts.append(f"baseline {number(baseline.value)}")
    bound = next(
        (
            t.bound
            for t in evaluation.thresholds
            if t.metric == name and t.slice == row.name and t.bound is not None
        ),
        None,
    )
    return charts.interval(
        metric.value,
        metric.lower,
        metric.upper,
        within,
        ", ".join(facts),
        threshold=bound,
        baseline=baseline.value if baseline else None,
    )


def curves(measure: str, group: Sequence[Curve]) -> Markup:
    """Draw what was measured during training."""
    series = [
        charts.Series(curve_name(curve), tuple(zip(curve.steps, curve.values, strict=True)))
        for curve in group
    ]
    ends = "; ".join(
        f"{curve_name(c)} from {quantity(c.values[0])} to {quantity(c.values[-1])}" for c in group
    )
    return charts.lines(series, f"{measure} over training: {ends}", _x_title(group))


def constant(group: Sequence[Curve]) -> float | None:
    """Return the one value that all curves of a chart always have, if there is one."""
    values = {value for curve in group for value in curve.values}
    return values.pop() if len(values) == 1 else None


def sampled(curve: Curve, most: int = 50) -> list[tuple[int, float]]:
    """Return points of a curve for a table: all, or so many at even distances, the last too."""
    points = list(zip(curve.steps, curve.values, strict=True))
    if len(points) <= most:
        return points
    return [points[round(n * (len(points) - 1) / (most - 1))] for n in range(most)]


def curve_name(curve: Curve) -> str:
    """Return how a curve is told from others of its chart."""
    return curve.run or curve.tag


def _x_title(group: Sequence[Curve]) -> str:
    return "epoch" if all(curve.tag.startswith("epoch_") for curve in group) else "step"
