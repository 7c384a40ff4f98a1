"""The report of a run: one HTML file that needs nothing else."""

from __future__ import annotations

import base64
import contextlib
import functools
import hashlib
import os
import tempfile
from collections.abc import Callable, Hashable, Iterable, Mapping, MutableMapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, TypeVar

import jinja2
from markupsafe import Markup

from penstock.data.parallel.fetching import local_copy
from penstock.data.results.training_curves import Curve, read_curves
from penstock.errors import PenstockError
from penstock.ir.reading import RUN_CONTEXT
from penstock.metadata.layout import open_run_file, run_folder
from penstock.metadata.protocol import Store
from penstock.metadata.reading import ArtifactRecord
from penstock.metadata.registered import Registration, registrations_of
from penstock.metadata.run_requests import run_root
from penstock.report import charts, drawing, wording
from penstock.report.compiled import KeptBeside
from penstock.report.contents import Output, RunContents, read_run
from penstock.report.differences import Differences, read_differences
from penstock.report.evaluations import Evaluation, read_evaluation
from penstock.report.features import Findings, find
from penstock.report.measured import Measured, read_measured
from penstock.report.origins import Origin, origins
from penstock.report.resources import NodeResources, resources_of_run
from penstock.report.verdict import Verdict, judge

FILE_NAME = "report.html"

# More than these stand in a fold; of very many features only what was counted is told.
LIMITS = {
    "shown_features": 24,
    "shown_slices": 20,
    "detailed_features": 500,
    "shown_resources": 12,
    "shown_measures": 20,
}


Content = TypeVar("Content")


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
    """All that a report shows; `unreachable` are artifacts whose files could not be fetched,
    `registered` what the run's models were registered as."""

    contents: RunContents
    verdict: Verdict
    evaluations: tuple[Evaluation, ...]
    statistics: tuple[Statistics, ...]
    training: tuple[Training, ...]
    origins: tuple[Origin, ...]
    missing: tuple[Output, ...]
    unreachable: tuple[ArtifactRecord, ...] = ()
    registered: tuple[Registration, ...] = ()
    resources: tuple[NodeResources, ...] = ()
    measured: tuple[Measured, ...] = ()
    differences: tuple[Differences, ...] = ()

    @property
    def anomaly_count(self) -> int:
        """How many anomalies were found in the data."""
        return sum(len(statistics.findings.anomalies) for statistics in self.statistics)


def write_report(
    store: Store, run_id: str, path: str, *, copied_to: Callable[[str], str | None] | None = None
) -> None:
    """Write the report of a run into a file; `run_id` is as `find_run` takes it.

    `copied_to` says where the files at a URI can be read, if that is not where the URI says.
    Artifacts whose files are gone are told as missing.

    Raises:
      RunError: there is no such run.
    """
    page = render(build(store, run_id, copied_to))
    with open_run_file(path, "w", encoding="utf-8") as file:
        file.write(page)


def report_path(store: Store, run_id: str) -> str:
    """Return where the report of a run stands, beside its logs; "" if it has no folder there."""
    context = store.get_context_by_type_and_name(RUN_CONTEXT, run_id)
    root = run_root(context)
    return os.path.join(run_folder(root, run_id), FILE_NAME) if root else ""


def build(
    store: Store,
    run_id: str,
    copied_to: Callable[[str], str | None] | None = None,
    kept: MutableMapping[Hashable, Any] | None = None,
) -> Report:
    """Collect what a report shows, from the store and from the artifacts' files.

    `kept` is for who makes the report of a run again: what was read of its artifacts is left
    there, and only what has changed since is read, or fetched from where it is remote.
    """
    contents = read_run(store, run_id)
    with tempfile.TemporaryDirectory() as folder:
        files = _Files(folder, copied_to, {} if kept is None else kept)
        evaluations = tuple(
            files.read(read_evaluation, output.node_id, output.artifact)
            for output in contents.outputs("ModelEvaluation")
        )
        return Report(
            contents,
            judge(contents, evaluations),
            evaluations,
            tuple(_statistics(contents, files)),
            tuple(
                files.read(read_training, output.node_id, output.artifact)
                for output in contents.outputs("ModelRun")
            ),
            origins(store, contents),
            tuple(_missing(contents)),
            tuple(files.unreachable),
            registered_of(store, contents),
            resources_of_run(contents),
            tuple(
                files.read(read_measured, output.node_id, output.artifact)
                for output in contents.outputs("MonitorReport")
            ),
            tuple(
                files.read(read_differences, output.node_id, output.artifact)
                for output in contents.outputs("ExamplesDiff")
            ),
        )


def registered_of(store: Store, contents: RunContents) -> tuple[Registration, ...]:
    """Return what the models of a run were registered as."""
    models = (output.artifact.artifact_id for output in contents.outputs("Model"))
    return registrations_of(store, models)


@dataclass(frozen=True)
class _Files:
    """Reads artifacts' files, once for each state that they are in."""

    folder: str
    copied_to: Callable[[str], str | None] | None
    kept: MutableMapping[Hashable, Any]
    unreachable: list[ArtifactRecord] = field(default_factory=list)

    def read(
        self, reader: Callable[..., Content], node_id: str, *artifacts: ArtifactRecord
    ) -> Content:
        """Return what a reader makes of a node's artifacts, or what it made of them before."""
        as_they_are = (reader, node_id, *(artifact_version(artifact) for artifact in artifacts))
        if as_they_are in self.kept:
            kept: Content = self.kept[as_they_are]
            return kept
        before = len(self.unreachable)
        content = reader(node_id, *(self._local(artifact) for artifact in artifacts))
        # What could not be fetched now may be there the next time.
        if len(self.unreachable) == before:
            self.kept[as_they_are] = content
        return content

    def _local(self, artifact: ArtifactRecord) -> ArtifactRecord:
        """Return an artifact where its files can be read, or where it is if they cannot."""
        path = self.copied_to(artifact.uri) if self.copied_to else None
        if path is None:
            try:
                to = os.path.join(self.folder, str(artifact.artifact_id))
                path = local_copy(artifact.uri, to)
            except PenstockError:
                self.unreachable.append(artifact)
                return artifact
        return replace(artifact, uri=path)


def artifact_version(artifact: ArtifactRecord) -> tuple[Hashable, ...]:
    """Return what changes with an artifact and, where they are local, with its files."""
    files: list[tuple[str, int, int]] = []
    if "://" not in artifact.uri:
        with contextlib.suppress(OSError):
            whole = os.stat(artifact.uri)
            files.append(("", whole.st_mtime_ns, whole.st_size))
            with os.scandir(artifact.uri) as entries:
                for entry in entries:
                    stat = entry.stat()
                    files.append((entry.name, stat.st_mtime_ns, stat.st_size))
    return (artifact.artifact_id, artifact.state, artifact.uri, *sorted(files))


def _statistics(contents: RunContents, files: _Files) -> Iterable[Statistics]:
    """Yield the statistics of a run with the anomalies that were found in them."""
    checked: dict[int, list[ArtifactRecord]] = {}
    for check in contents.outputs("ExampleAnomalies"):
        node = contents.node(check.node_id)
        for source in node.inputs if node else ():
            if source.key == "statistics":
                checked.setdefault(source.artifact.artifact_id, []).append(check.artifact)
    for output in contents.outputs("ExampleStatistics"):
        anomalies = checked.get(output.artifact.artifact_id, [])
        findings = files.read(_find, output.node_id, output.artifact, *anomalies)
        yield Statistics(output.node_id, _title(contents, output), findings)


def _find(_: str, statistics: ArtifactRecord, *anomalies: ArtifactRecord) -> Findings:
    return find([statistics], anomalies)


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
    # Keras writes what it validates by epochs and, once more, by iterations.
    by_epoch = {(curve.run, _measure(curve.tag)) for curve in curves if "epoch_" in curve.tag}
    for curve in curves:
        if curve.tag.endswith("_vs_iterations") and (curve.run, _measure(curve.tag)) in by_epoch:
            continue
        by_tag.setdefault(_measure(curve.tag), []).append(curve)
    drawn = [(tag, tuple(of_tag)) for tag, of_tag in by_tag.items()]
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
    templates = jinja2.Environment(
        loader=jinja2.ChoiceLoader(loaders),
        bytecode_cache=KeptBeside(),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.globals.update(
        charts=charts,
        drawing=drawing,
        number=wording.number,
        metric_value=wording.metric,
        quantity=wording.quantity,
    )
    templates.filters.update(
        size=wording.size,
        duration=wording.duration,
        when=wording.when,
        plain=wording.plain,
        signed=wording.signed,
        curve_name=drawing.curve_name,
    )
    return templates


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
