"""What is shown of the artifacts that a node has made, type by type."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from markupsafe import Markup

from penstock import _tfx
from penstock.data.records import read_record_batches
from penstock.data.results.training_curves import read_curves
from penstock.data.splits import split_files, split_names
from penstock.errors import DataError, PenstockError
from penstock.metadata.lineage import ancestors
from penstock.metadata.protocol import Store
from penstock.metadata.reading import ArtifactRecord, read_artifacts
from penstock.report import charts, drawing
from penstock.report.evaluations import Evaluation, SliceRow, read_evaluation
from penstock.report.features import Feature, SplitStatistics, find
from penstock.report.wording import from_here, number, quantity, size
from penstock.report.wording import metric as metric_value
from penstock.surfaces.notebook.blocks import (
    Block,
    Cell,
    Drawn,
    Figures,
    Line,
    Section,
    Table,
    sparkline,
)

_ROWS, _COLUMNS, _TERMS = 5, 12, 5
_MOST_SLICES = 30
# No more is read of a file that is shown as text.
_MOST_BYTES = 16_000_000
_TERM_BYTES = 4096
_NOTHING = "-"


def blocks_of(
    outputs: _tfx.Artifacts, store: Store, neighbors: Iterable[ArtifactRecord] = ()
) -> list[Block]:
    """Return what is shown of artifacts; `neighbors` are others that say more about them.

    What cannot be read is said in a line: a notebook goes on.
    """
    ids = [artifact.id for of_key in outputs.values() for artifact in of_key]
    records = {**read_artifacts(store, ids)}
    of_others = list(neighbors)
    blocks: list[Block] = []
    for key, artifacts in sorted(outputs.items(), key=lambda item: _RANKS.get(_kind(item[1]), 9)):
        for artifact in artifacts:
            record = records.get(artifact.id)
            if record is None:
                continue
            inner = blocks_of_artifact(artifact, record, [*records.values(), *of_others])
            if inner:
                title = f"{key}: {artifact.type_name}"
                blocks.append(Section(title, tuple(inner), folded=key in _FOLDED))
    for artifact in outputs.get("model", []):
        blocks.append(lineage(store, artifact.id))
    return blocks


def blocks_of_artifact(
    artifact: _tfx.Artifact, record: ArtifactRecord, neighbors: Sequence[ArtifactRecord] = ()
) -> list[Block]:
    """Return what is shown of one artifact; what cannot be read is said in a line."""
    show: _Show = _SHOWN.get(artifact.type_name, _plain)
    try:
        return list(show(artifact, record, neighbors))
    except (PenstockError, OSError, ValueError) as error:
        return [Line(f"It cannot be shown: {error}", "bad")]


def lineage(store: Store, artifact_id: int) -> Section:
    """Return what an artifact was made from, as a tree."""
    lines = []
    for row in ancestors(store, artifact_id).rows():
        origin = f"by {row.maker.node.node_id} in run {row.maker.run_id}" if row.maker else ""
        remark = "as above" if row.repeated else origin
        key = f"{row.key}: " if row.key else ""
        lines.append(f"{'   ' * row.depth}{key}{row.artifact.type_name} {remark}".rstrip())
    return Section("Lineage", (Line("\n".join(lines)),), folded=True)


def _kind(artifacts: Sequence[Any]) -> str:
    return str(artifacts[0].type_name) if artifacts else ""


def _examples(artifact: Any, record: ArtifactRecord, _: Any) -> Iterator[Block]:
    for split in split_names(artifact):
        columns = _first_rows(split_files(artifact, split))
        if not columns:
            yield Line(f"{split}: no rows")
            continue
        names = sorted(columns)[:_COLUMNS]
        rows = tuple(
            tuple(_values(columns[name][n]) for name in names)
            for n in range(len(columns[names[0]]))
        )
        more = f", {len(names)} of {len(columns)} features" if len(names) < len(columns) else ""
        yield Table(tuple(names), rows, f"{split}: the first {len(rows)} rows{more}")
        break
    splits = ", ".join(split_names(artifact))
    yield Line(f"splits: {splits}; {size(record.size)}", "quiet")


def _first_rows(files: Sequence[str]) -> dict[str, list[Any]]:
    for batch in itertools.islice(read_record_batches(files, batch_rows=_ROWS), 1):
        rows: dict[str, list[Any]] = batch.slice(0, _ROWS).to_pydict()
        return rows
    return {}


def _values(values: Any) -> str:
    if not values:
        return _NOTHING
    texts = [
        value.decode("utf-8", "replace") if isinstance(value, bytes) else f"{value:.6g}"
        for value in values[:4]
    ]
    return ", ".join(texts) + (" …" if len(values) > 4 else "")


def _statistics(_: Any, record: ArtifactRecord, __: Any) -> Iterator[Block]:
    findings = find([record])
    names = list(findings.examples)
    yield Line(
        ", ".join(f"{split}: {count:,} examples" for split, count in findings.examples.items())
    )
    rows = tuple(_feature_row(feature, names) for feature in findings.features)
    yield Table(("feature", "type", *names), rows)
    yield from (Line(problem, "bad") for problem in findings.problems)


def _feature_row(feature: Feature, names: Sequence[str]) -> tuple[Cell, ...]:
    by_split = {split.split: split for split in feature.splits}
    cells = (_distribution(feature, by_split.get(name)) for name in names)
    return (feature.name, feature.kind, *cells)


def _distribution(feature: Feature, split: SplitStatistics | None) -> Cell:
    if split is None:
        return _NOTHING
    facts = ", ".join(
        f"{name} {value}"
        for name, value in split.facts.items()
        if (name, value) != ("missing", "0 %")
    )
    return Drawn(
        Markup("{}{}").format(drawing.distribution(feature, split), facts),
        f"{sparkline([bar.count for bar in split.bars])} {facts}".strip(),
    )


def _schema(_: Any, record: ArtifactRecord, __: Any) -> Iterator[Block]:
    from google.protobuf import text_format
    from tensorflow_metadata.proto.v0 import schema_pb2

    path = Path(record.uri, "schema.pbtxt")
    schema = text_format.Parse(_text_of(path), schema_pb2.Schema())
    yield schema_table(schema)


def schema_table(schema: Any) -> Table:
    """Return the features of a schema: types, presence and domains."""
    kind = type(schema).DESCRIPTOR.fields_by_name["feature"].message_type
    types = kind.fields_by_name["type"].enum_type.values_by_number
    domains = {domain.name: domain for domain in schema.string_domain}
    rows = []
    for feature in schema.feature:
        presence = feature.presence
        required = presence.min_fraction >= 1 or feature.HasField("shape")
        rows.append(
            (
                feature.name,
                types[feature.type].name.lower(),
                "required" if required else "optional",
                _domain(feature, domains),
            )
        )
    return Table(("feature", "type", "presence", "values"), tuple(rows))


def _domain(feature: Any, domains: Mapping[str, Any]) -> str:
    which = feature.WhichOneof("domain_info")
    if which in ("domain", "string_domain"):
        domain = domains.get(feature.domain) if which == "domain" else feature.string_domain
        values = list(domain.value) if domain is not None else []
        more = f" and {len(values) - 8} more" if len(values) > 8 else ""
        return ", ".join(values[:8]) + more
    if which in ("int_domain", "float_domain"):
        domain = getattr(feature, which)
        low = f"from {quantity(domain.min)}" if domain.HasField("min") else ""
        high = f"to {quantity(domain.max)}" if domain.HasField("max") else ""
        return f"{low} {high}".strip()
    return which.removesuffix("_domain").replace("_", " ") if which else ""


def _anomalies(_: Any, record: ArtifactRecord, __: Any) -> Iterator[Block]:
    findings = find([], [record])
    if findings.anomalies:
        count = len(findings.anomalies)
        yield Line(f"{count} {'anomaly' if count == 1 else 'anomalies'}", "bad")
        rows = tuple(
            (anomaly.feature or "(data set)", split, anomaly.short, anomaly.long)
            for split, anomaly in findings.anomalies
        )
        yield Table(("feature", "split", "anomaly", "what was seen"), rows)
    elif not findings.problems:
        yield Line("No anomalies: the data conforms to its schema.", "good")
    drifted = tuple(
        (
            feature.name,
            split,
            measured.comparison,
            f"{measured.value:.4f}",
            f"{measured.threshold:g}",
            "above" if measured.value > measured.threshold else "",
        )
        for feature in findings.features
        for split, measured in feature.drift
    )
    if drifted:
        columns = ("feature", "split", "comparison", "distance", "threshold", "")
        yield Table(columns, drifted, "Against other statistics", frozenset({3, 4}))
    yield from (Line(problem, "bad") for problem in findings.problems)


def _transform_graph(_: Any, record: ArtifactRecord, __: Any) -> Iterator[Block]:
    from google.protobuf import text_format
    from tensorflow_metadata.proto.v0 import schema_pb2

    path = Path(record.uri, "transformed_metadata", "schema.pbtxt")
    schema = text_format.Parse(_text_of(path), schema_pb2.Schema())
    yield replace(schema_table(schema), caption="The schema of transformed examples")
    rows = []
    for file in sorted(Path(record.uri, "transform_fn", "assets").glob("*")):
        terms, count = _terms_of(file)
        more = " …" if count > len(terms) else ""
        rows.append((file.name, f"{count:,}", ", ".join(terms) + more))
    if rows:
        yield Table(("vocabulary", "terms", "the first"), tuple(rows), numbers=frozenset({1}))


def _text_of(path: Path) -> str:
    """Return the text of a file that is no larger than people read.

    Raises:
      DataError: it is larger.
    """
    if path.stat().st_size > _MOST_BYTES:
        raise DataError(
            f"the file has more than {size(_MOST_BYTES)}, which is more than is shown",
            path=str(path),
        )
    return path.read_text(encoding="utf-8")


def _terms_of(path: Path) -> tuple[list[str], int]:
    """Return the first terms of a vocabulary, and how many there are."""
    with path.open("rb") as file:
        first = file.read(_TERM_BYTES).decode("utf-8", "replace").split("\n")
        file.seek(0)
        count = last = 0
        while block := file.read(1 << 20):
            count += block.count(b"\n")
            last = block[-1]
    return [term for term in first if term][:_TERMS], count + (last not in (0, ord("\n")))


def _curves(_: Any, record: ArtifactRecord, __: Any) -> Iterator[Block]:
    measures: dict[str, list[Any]] = {}
    for curve in read_curves(record.uri):
        if len(curve.values) > 0 and "vs_iterations" not in curve.tag:
            measures.setdefault(curve.tag.removeprefix("epoch_"), []).append(curve)
    if not measures:
        return
    pictures = []
    for measure, group in measures.items():
        names = [drawing.curve_name(curve) for curve in group]
        text = "; ".join(
            f"{name} {quantity(c.values[0])} → {quantity(c.values[-1])} {sparkline(c.values)}"
            for name, c in zip(names, group, strict=True)
        )
        svg = Markup("{}{}").format(drawing.curves(measure, group), charts.legend(names))
        pictures.append(Drawn(svg, text))
    yield Figures(tuple(measures), tuple(pictures))


def _evaluation(_: Any, record: ArtifactRecord, __: Any) -> Iterator[Block]:
    evaluation = read_evaluation("", record)
    rows = [evaluation.overall, *evaluation.slices][: _MOST_SLICES + 1]
    with_baseline = any(row.baseline for row in rows)
    columns = ["slice", "examples"]
    for name in evaluation.names:
        columns += [name, *(["baseline"] if with_baseline else [])]
    columns.append(evaluation.primary)
    table = tuple(_slice_row(evaluation, row, with_baseline) for row in rows)
    numbers = frozenset(range(1, len(columns) - 1))
    yield Table(tuple(columns), table, numbers=numbers)
    hidden = len(evaluation.slices) - _MOST_SLICES
    if hidden > 0:
        yield Line(f"and {hidden} more slices", "quiet")
    for threshold in evaluation.thresholds:
        tone = "bad" if threshold.failures else "good"
        where = "" if threshold.slice == "Overall" else f" on {threshold.slice}"
        value = "" if threshold.value is None else f"; it is {number(threshold.value)}"
        yield Line(f"{threshold.metric}{where} should be {threshold.requirement}{value}", tone)
    yield from (Line(problem, "bad") for problem in evaluation.problems)


def _slice_row(evaluation: Evaluation, row: SliceRow, with_baseline: bool) -> tuple[Cell, ...]:
    cells: list[Cell] = [row.name, _NOTHING if row.count is None else f"{row.count:,.0f}"]
    for name in evaluation.names:
        metric, baseline = row.metrics.get(name), row.baseline.get(name)
        cells.append(_NOTHING if metric is None else metric_value(name, metric.value))
        if with_baseline:
            cells.append(_NOTHING if baseline is None else metric_value(name, baseline.value))
    metric = row.metrics.get(evaluation.primary)
    if metric is None:
        return (*cells, "")
    within = drawing.bounds(evaluation, evaluation.primary)
    spread = ""
    if metric.lower is not None and metric.upper is not None:
        spread = f"{number(metric.lower)} to {number(metric.upper)}"
    picture = drawing.slice_interval(evaluation, row, evaluation.primary, within)
    return (*cells, Drawn(picture, spread))


def _blessing(_: Any, record: ArtifactRecord, others: Sequence[ArtifactRecord]) -> Iterator[Block]:
    blessed = record.properties.get("blessed")
    if blessed is None:
        yield Line("Neither blessed nor not: the evaluation has no thresholds.")
        return
    if blessed:
        yield Line("Blessed: its thresholds hold.", "good")
        return
    yield Line("Not blessed", "bad")
    for other in others:
        if other.type_name == "ModelEvaluation":
            yield from (Line(reason, "bad") for reason in read_evaluation("", other).failures)


def _pushed(_: Any, record: ArtifactRecord, __: Any) -> Iterator[Block]:
    if record.properties.get("pushed"):
        where = str(record.properties.get("pushed_destination") or record.uri)
        yield Line(f"Pushed to {from_here(where)}", "good")
    else:
        yield Line("Nothing was pushed: the model is not blessed.", "bad")


def _model(_: Any, record: ArtifactRecord, __: Any) -> Iterator[Block]:
    yield Line(f"{from_here(record.uri)}  {size(record.size)}")


def _value(artifact: Any, _: ArtifactRecord, __: Any) -> Iterator[Block]:
    if os.path.isfile(artifact.uri) and os.path.getsize(artifact.uri) > _MOST_BYTES:
        yield Line(f"It has more than {size(_MOST_BYTES)}, which is more than is shown.", "quiet")
        return
    artifact.read()
    yield Line(repr(artifact.value))


def _plain(_: Any, record: ArtifactRecord, __: Any) -> Iterator[Block]:
    yield Line(f"{from_here(record.uri)}  {size(record.size)}", "quiet")


_Show = Callable[[Any, ArtifactRecord, Sequence[ArtifactRecord]], Iterator[Block]]

_SHOWN: dict[str, _Show] = {
    "ExampleAnomalies": _anomalies,
    "ExampleStatistics": _statistics,
    "Examples": _examples,
    "Model": _model,
    "ModelBlessing": _blessing,
    "ModelEvaluation": _evaluation,
    "ModelRun": _curves,
    "PushedModel": _pushed,
    "Schema": _schema,
    "TransformGraph": _transform_graph,
    **dict.fromkeys(("Boolean", "Bytes", "Float", "Integer", "JsonValue", "String"), _value),
}

# What matters most comes first.
_RANKS = {
    "ModelBlessing": 0,
    "ModelEvaluation": 1,
    "ExampleAnomalies": 1,
    "ModelRun": 1,
    "Model": 2,
    "Examples": 3,
    "TransformGraph": 4,
}

# Transform's own statistics and caches, which few look at every time.
_FOLDED = (
    "updated_analyzer_cache",
    "pre_transform_schema",
    "pre_transform_stats",
    "post_transform_schema",
    "post_transform_stats",
    "post_transform_anomalies",
)
