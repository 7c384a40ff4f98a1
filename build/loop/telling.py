"""The page that tells a year: what served, every alert, every decision, and how good it all was."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jinja2
import months
import numpy as np
import pyarrow as pa

from penstock.models.loading import load_model
from penstock.pipelines.flights.baselines import area_under_roc
from penstock.report import charts
from penstock.report.page import environment, head
from penstock.serving.log.reading import read_rows
from penstock.serving.worker.counting import summary_of

_TEMPLATE = Path(__file__).with_name("year.html.jinja")
_DAY = 86_400
_NAMES = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]


@dataclass(frozen=True)
class Month:
    """How good predictions of a month's flights were: what served, and what might have."""

    number: int
    flights: int
    versions: Mapping[str, int]
    auc: float
    first_auc: float
    accuracy: float
    first_accuracy: float
    on_time: float

    @property
    def name(self) -> str:
        """What it is called."""
        return _NAMES[self.number - 1]

    @property
    def shares(self) -> str:
        """Which versions answered, and how much each."""
        total = sum(self.versions.values())
        return ", ".join(f"{v} ({n / total:.0%})" for v, n in self.versions.items())


def tell(
    folder: Path,
    project: Path,
    done: Sequence[Mapping[str, Any]],
    requests: Mapping[int, Sequence[months.Asked]],
    penstock: Callable[..., str],
) -> Path:
    """Write the page from what the project's own records say, and return its path."""

    def read(*arguments: str) -> Any:
        return json.loads(penstock(*arguments, "--json", codes=(0, 3)))

    [watched] = read("monitor", "status", "--last", "20")
    model = read("model", "show", "flights")
    first = load_model(model["versions"][0]["uri"])
    lived = [
        _month(number, project, asked, first, watched["windows"])
        for number, asked in sorted(requests.items())
    ]
    told = {
        "windows": watched["windows"],
        "alerts": read("alert", "list", "--all"),
        "releases": read("release", "history", "flights"),
        "triggers": read("trigger", "history"),
        "changes": [one for one in done if one["kind"] == "change"],
        "deployments": read("ci", "history"),
        "model": model,
        "answered": sum(one.get("answered", 0) for one in done),
        "failed": sum(one.get("failed", 0) for one in done),
    }
    numbers = [asdict(month) for month in lived]
    (folder / "year.json").write_text(json.dumps({**told, "months": numbers}, indent=1))
    path = folder / "year.html"
    path.write_text(_page(told, lived))
    return path


def _month(
    number: int,
    project: Path,
    asked: Sequence[months.Asked],
    first: Any,
    windows: Sequence[Mapping[str, Any]],
) -> Month:
    labels = {(one.request_id, row): label for one in asked for row, label in enumerate(one.labels)}
    logged = _log_of(project, number)
    keys = list(
        zip(logged["log/request_id"].to_pylist(), logged["log/row"].to_pylist(), strict=True)
    )
    # Of a request that was sent again the last answer counts.
    last = {key: place for place, key in enumerate(keys)}
    places = [last[key] for key in labels if key in last]
    truth = np.array([labels[keys[place]] for place in places])
    score = logged["log/score"].to_numpy()[places]
    rows = pa.Table.from_pylist([row for one in asked for row in one.rows])
    known = summary_of(first.predict(rows)).scores
    every = np.array([label for one in asked for label in one.labels])
    begins = months.start_of(number).isoformat()
    versions = next((w["versions"] for w in windows if w["window"]["begin"] == begins), {})
    return Month(
        number,
        len(places),
        versions,
        area_under_roc(truth, score),
        area_under_roc(every, known),
        float(((score >= 0.5) == truth).mean()),
        float(((known >= 0.5) == every).mean()),
        float(1 - every.mean()),
    )


def _log_of(project: Path, number: int) -> pa.Table:
    first, last = (
        int(months.start_of(month).timestamp()) // _DAY for month in (number, number + 1)
    )
    days = [read_rows(str(project / "log"), "flights", "day", day) for day in range(first, last)]
    there = [
        day.select(["log/request_id", "log/row", "log/time", "log/score"])
        for day in days
        if day.num_columns
    ]
    return pa.concat_tables(there)


def _chart(
    lived: Sequence[Month], name: str, measures: Sequence[str], on_time: float | None
) -> Any:
    names = ("what served", "never retrained", "always on time")
    points = [
        tuple((float(month.number), float(getattr(month, measure))) for month in lived)
        for measure in measures
    ]
    points.append(
        tuple(
            (float(month.number), month.on_time if on_time is None else on_time) for month in lived
        )
    )
    series = [charts.Series(*pair) for pair in zip(names, points, strict=True)]
    return charts.lines(series, f"{name} by month", "month")


def _page(told: Mapping[str, Any], lived: Sequence[Month]) -> str:
    templates = environment().overlay()
    known = environment().loader
    assert known is not None
    own = jinja2.FunctionLoader(lambda name: _TEMPLATE.read_text() if name == "year.html" else None)
    templates.loader = jinja2.ChoiceLoader([own, known])
    return templates.get_template("year.html").render(
        **told,
        months=lived,
        aucs=_chart(lived, "AUC", ("auc", "first_auc"), 0.5),
        accuracies=_chart(lived, "accuracy", ("accuracy", "first_accuracy"), None),
        legend=charts.legend(("what served", "never retrained", "always on time")),
        made=datetime.now(UTC),
        head=head(environment()),
    )
