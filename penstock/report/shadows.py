"""What was seen of a new version beside what serves, as pictures and numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from markupsafe import Markup

from penstock.report import charts, wording
from penstock.report.page import environment, head
from penstock.serving.evidence import Answers, Evidence
from penstock.serving.routes import PRODUCTION, SHADOW
from penstock.serving.sketches import Sketch, count_of, mean, quantile

_SHARES = (0.0, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99)
_MOST_CLASSES = 20


@dataclass(frozen=True)
class Comparison:
    """A table's row: what is compared, of what serves and of the new version."""

    name: str
    old: str
    new: str


@dataclass(frozen=True)
class Picture:
    """A chart with its title, and the names of its lines."""

    title: str
    chart: Markup
    names: tuple[str, ...] = ()


@dataclass(frozen=True)
class Shown:
    """All that is shown of evidence of a role: a table, classes, pictures, and rows compared."""

    role: str
    rows: tuple[Comparison, ...]
    classes: tuple[Comparison, ...]
    pictures: tuple[Picture, ...]
    compared: tuple[tuple[str, str], ...]


def shown(evidence: Evidence, role: str) -> Shown:
    """Return what is shown of the version that has a role beside production."""
    old = evidence.answers.get(PRODUCTION, Answers())
    new = evidence.answers.get(role, Answers())
    drawn = (
        _quantiles("Predictions", "", 1, old, new, role),
        _quantiles(
            "Work of the model" if role == SHADOW else "Latency", " ms", 1000, old, new, role
        ),
    )
    pictures = [picture for picture in drawn if picture is not None]
    differences = evidence.compared.differences
    if count_of(differences):
        series = charts.Series("difference", _points(differences, 1))
        told = f"Differences row by row: half are at most {_at(differences, 0.5):.3g}"
        chart = charts.lines([series], told, "percent of the rows")
        pictures.append(Picture("Differences of predictions, row by row", chart))
    return Shown(
        role,
        tuple(_rows(old, new, role)),
        tuple(_classes(old, new)),
        tuple(pictures),
        tuple(_compared(evidence)) if evidence.compared.rows or evidence.compared.failed else (),
    )


def page(
    title: str,
    verdict: str,
    gates: Sequence[Mapping[str, str]],
    evidence: Evidence,
    role: str,
    made: datetime,
) -> str:
    """Return a report as one HTML file that needs nothing else."""
    templates = environment()
    return templates.get_template("shadow.html").render(
        title=title,
        verdict=verdict,
        gates=gates,
        shown=shown(evidence, role),
        seconds=evidence.seconds,
        made=made,
        head=head(templates),
    )


def _rows(old: Answers, new: Answers, role: str) -> list[Comparison]:
    def both(name: str, of: Mapping[str, str]) -> Comparison:
        return Comparison(name, of["old"], of["new"])

    pairs = {"old": old, "new": new}

    def each(name: str, value: object) -> Comparison:
        assert callable(value)
        return both(name, {which: value(answers) for which, answers in pairs.items()})

    rows = [
        each("Requests", lambda a: f"{a.requests:,}"),
        each("Rows", lambda a: f"{a.rows:,}"),
        each("Errors", lambda a: wording.share(a.errors, a.requests) if a.requests else "none"),
        each("Refused", lambda a: wording.share(a.refused, a.requests) if a.requests else "none"),
        each("Predictions that are NaN or infinite", lambda a: f"{a.not_finite:,}"),
    ]
    for share in (0.5, 0.95, 0.99):
        if role == SHADOW:
            rows.append(
                each(f"Work of the model, p{share * 100:g}", lambda a, s=share: _time(a.work, s))
            )
        else:
            rows.append(each(f"Latency, p{share * 100:g}", lambda a, s=share: _time(a.latency, s)))
    rows += [
        each("Mean of predictions", lambda a: _number(mean(a.scores))),
        each("CPU a row", lambda a: _cpu(a)),
        each("Memory", lambda a: wording.size(a.memory_bytes) if a.memory_bytes else "not known"),
    ]
    return rows


def _classes(old: Answers, new: Answers) -> list[Comparison]:
    names = sorted({*old.classes, *new.classes}, key=lambda n: -old.classes.get(n, 0))
    sizes = sum(old.classes.values()), sum(new.classes.values())
    return [
        Comparison(
            name,
            *(
                wording.share(answers.classes.get(name, 0), size) if size else "none"
                for answers, size in zip((old, new), sizes, strict=True)
            ),
        )
        for name in names[:_MOST_CLASSES]
    ]


def _compared(evidence: Evidence) -> list[tuple[str, str]]:
    compared = evidence.compared
    agreeing = wording.share(compared.agreeing, compared.rows) if compared.rows else "none"
    return [
        ("Rows that were asked of both", f"{compared.rows:,}"),
        ("Predicted alike", agreeing),
        ("Requests that the new version alone did not answer well", f"{compared.failed:,}"),
        ("Requests that were not copied, since the shadow was busy", f"{compared.dropped:,}"),
    ]


def _quantiles(
    title: str, unit: str, scale: float, old: Answers, new: Answers, role: str
) -> Picture | None:
    sketches = [
        {
            "Predictions": answers.scores,
            "Work of the model": answers.work,
            "Latency": answers.latency,
        }[title]
        for answers in (old, new)
    ]
    if not any(map(count_of, sketches)):
        return None
    names = ("what serves", f"the new version ({role})")
    series = [
        charts.Series(name, _points(sketch, scale))
        for name, sketch in zip(names, sketches, strict=True)
    ]
    told = "; ".join(
        f"{name}: half are at most {_at(sketch, 0.5) * scale:.3g}{unit}"
        for name, sketch in zip(names, sketches, strict=True)
        if count_of(sketch)
    )
    chart = charts.lines(series, f"{title}: {told}", "percent of them")
    return Picture(f"{title}{' in ms' if unit else ''}, by quantile", chart, names)


def _points(sketch: Sketch, scale: float) -> tuple[tuple[float, float], ...]:
    return tuple(
        (share * 100, value * scale)
        for share in _SHARES
        if (value := quantile(sketch, share)) is not None
    )


def _at(sketch: Sketch, share: float) -> float:
    return quantile(sketch, share) or 0.0


def _time(sketch: Sketch, share: float) -> str:
    value = quantile(sketch, share)
    return "not known" if value is None else f"{value * 1000:.3g} ms"


def _number(value: float | None) -> str:
    return "none" if value is None else wording.number(value)


def _cpu(answers: Answers) -> str:
    if not answers.rows or not answers.cpu_seconds:
        return "not known"
    return f"{answers.cpu_seconds / answers.rows * 1000:.3g} ms"
