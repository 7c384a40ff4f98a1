"""The report of a run: one HTML file that needs nothing else."""

from __future__ import annotations

import base64
import functools
import hashlib
import os
import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import jinja2
from markupsafe import Markup

from penstock.data.files.remote import local_copy
from penstock.data.results.training_curves import Curve, read_curves
from penstock.errors import PenstockError
from penstock.execution.logs import log_folder
from penstock.metadata.reading import RUN_CONTEXT, ArtifactRecord
from penstock.metadata.run_requests import run_root
from penstock.report import charts, drawing, wording
from penstock.report.contents import Output, RunContents, read_run
from penstock.report.evaluations import Evaluation, read_evaluation
from penstock.report.features import Findings, find
from penstock.report.origins import Origin, origins
from penstock.report.verdict import Verdict, judge

FILE_NAME = "report.html"

# More than these stand in a fold; of very many features only what was counted is told.
LIMITS = {"shown_features": 24, "shown_slices": 20, "detailed_features": 500}


@dataclass(frozen=True)
class Statistics:
    """What one node found about data, and whose the findings are."""

    node_id: str
    title: str
    findings: Findings


@dataclass(frozen=True)
class Training:
    """The curves of one training, by what they measure."""

    node_id: str
    charts: tuple[tuple[str, tuple[Curve, ...]], ...] = ()
    problems: tuple[str, ...] = ()


@dataclass(frozen=True)
class Report:
    """All that a report shows."""

    contents: RunContents
    verdict: Verdict
    evaluations: tuple[Evaluation, ...]
    statistics: tuple[Statistics, ...]
    training: tuple[Training, ...]
    origins: tuple[Origin, ...]
    missing: tuple[Output, ...]

    @property
    def anomaly_count(self) -> int:
        """How many anomalies were found in the data."""
        return sum(len(statistics.findings.anomalies) for statistics in self.statistics)


def write_report(
    store: Any, run_id: str, path: str, *, copied_to: Callable[[str], str | None] | None = None
) -> None:
    """Write the report of a run into a file; `run_id` is as `find_run` takes it.

    `copied_to` says where the files at a URI can be read, if that is not where the URI says.
    Artifacts whose files are gone are told as missing.

    Raises:
      RunError: there is no such run.
    """
    page = render(build(store, run_id, copied_to))
    with open(path, "w", encoding="utf-8") as file:
        file.write(page)


def report_path(store: Any, run_id: str) -> str:
    """Return where the report of a run stands, beside its logs; "" if it has no folder there."""
    context = store.get_context_by_type_and_name(RUN_CONTEXT, run_id)
    root = run_root(context)
    return os.path.join(log_folder(root, run_id), FILE_NAME) if root else ""


def build(store: Any, run_id: str, copied_to: Callable[[str], str | None] | None = None) -> Report:
    """Collect what a report shows, from the store and from the artifacts' files."""
    contents = read_run(store, run_id)
    with tempfile.TemporaryDirectory() as folder:

        def local(artifact: ArtifactRecord) -> ArtifactRecord:
            path = copied_to(artifact.uri) if copied_to else None
            if path is not None:
                return replace(artifact, uri=path)
            return _local_copy(artifact, os.path.join(folder, str(artifact.artifact_id)))

        evaluations = tuple(
            read_evaluation(output.node_id, local(output.artifact))
            for output in contents.outputs("ModelEvaluation")
        )
        return Report(
            contents,
            judge(contents, evaluations),
            evaluations,
            tuple(_statistics(contents, local)),
            tuple(
                read_training(output.node_id, local(output.artifact))
                for output in contents.outputs("ModelRun")
            ),
            origins(store, contents),
            tuple(_missing(contents)),
        )


def _local_copy(artifact: ArtifactRecord, folder: str) -> ArtifactRecord:
    """Return an artifact where its files can be read; what cannot be fetched stays where it is."""
    try:
        return replace(artifact, uri=local_copy(artifact.uri, folder))
    except PenstockError:
        return artifact


def _statistics(
    contents: RunContents, local: Callable[[ArtifactRecord], ArtifactRecord]
) -> Iterable[Statistics]:
    """Yield the statistics of a run with the anomalies that were found in them."""
    checked: dict[int, list[ArtifactRecord]] = {}
    for check in contents.outputs("ExampleAnomalies"):
        node = contents.node(check.node_id)
        for given in node.inputs if node else ():
            if given.key == "statistics":
                checked.setdefault(given.artifact.artifact_id, []).append(check.artifact)
    for output in contents.outputs("ExampleStatistics"):
        anomalies = [local(a) for a in checked.get(output.artifact.artifact_id, ())]
        found = find([local(output.artifact)], anomalies)
        yield Statistics(output.node_id, _title(contents, output), found)


def _title(contents: RunContents, output: Output) -> str:
    node = contents.node(output.node_id)
    several = sum(o.artifact.type_name == "ExampleStatistics" for o in node.outputs) if node else 0
    return f"{output.node_id}: {output.key}" if several > 1 else output.node_id


def read_training(node_id: str, model_run: ArtifactRecord) -> Training:
    """Read the curves of a training from its TensorBoard logs."""
    try:
        curves = read_curves(model_run.uri)
    except (PenstockError, OSError) as error:
        return Training(node_id, (), (str(error),))
    by_tag: dict[str, list[Curve]] = {}
    for curve in curves:
        by_tag.setdefault(_measure(curve.tag), []).append(curve)
    drawn = [(tag, tuple(found)) for tag, found in by_tag.items()]
    # What only has one point is no curve, and comes last.
    drawn.sort(key=lambda pair: (max(len(c.steps) for c in pair[1]) < 2, "loss" not in pair[0]))
    return Training(node_id, tuple(drawn))


def _measure(tag: str) -> str:
    """Return what Keras measures, of "epoch_loss" and "evaluation_loss_vs_iterations"."""
    measure = tag.removeprefix("epoch_").removeprefix("evaluation_")
    return measure.removesuffix("_vs_iterations")


def _missing(contents: RunContents) -> Iterable[Output]:
    """Yield what a run made and is known to be gone, or is not where it was."""
    for node in contents.nodes:
        for output in node.outputs:
            artifact = output.artifact
            gone = artifact.state in ("deleted", "marked for deletion")
            is_local = "://" not in artifact.uri
            if gone or (is_local and artifact.uri and not os.path.exists(artifact.uri)):
                yield output


def render(report: Report) -> str:
    """Return the page of a report."""
    templates = environment()
    return templates.get_template("report.html").render(
        report=report, made=datetime.now(), head=head(templates), **LIMITS
    )


@functools.cache
def environment(*packages: str) -> jinja2.Environment:
    """Return the templates, with those of other packages before them; all they show is escaped."""
    loaders = [jinja2.PackageLoader(name) for name in (*packages, "penstock.report")]
    made = jinja2.Environment(
        loader=jinja2.ChoiceLoader(loaders),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.globals.update(
        charts=charts, drawing=drawing, number=wording.number, quantity=wording.quantity
    )
    made.filters.update(
        size=wording.size,
        duration=wording.duration,
        when=wording.when,
        plain=wording.plain,
        signed=wording.signed,
        curve_name=drawing.curve_name,
    )
    return made


@functools.cache
def head(templates: jinja2.Environment, *scripts: str) -> Mapping[str, Markup]:
    """Return what stands inside a page's head: its style, its script, and the script's digest."""
    style, script = (
        "".join(_source(templates, name) for name in names)
        for names in (("style.css",), ("script.js", *scripts))
    )
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return {
        "style": Markup(style),
        "script": Markup(script),
        "digest": Markup(f"sha256-{digest}"),
    }


def _source(templates: jinja2.Environment, name: str) -> str:
    assert templates.loader is not None
    return templates.loader.get_source(templates, name)[0]
