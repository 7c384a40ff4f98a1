"""The pages: each is read from the store when it is asked for, and changes nothing.

What a page shows has a version. A page that is shown asks for the state of what it shows, which
costs a few calls of the store, and for itself again where the version there is another one.
"""

from __future__ import annotations

import contextlib
import functools
import os
import threading
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import IO, Any
from urllib.parse import quote

import anyio.to_thread
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import (
    HTMLResponse,
    JSONResponse,
    PlainTextResponse,
    Response,
    StreamingResponse,
)

from penstock.data.results.training_curves import Curve
from penstock.errors import PenstockError, RunError
from penstock.execution.logs import log_tail
from penstock.metadata.comparison import compare_runs, seconds_of
from penstock.metadata.databases.patience import Patience, StoreAway
from penstock.metadata.evaluations import metrics_of
from penstock.metadata.graph import ExecutionRecord
from penstock.metadata.layout import log_path, open_run_file
from penstock.metadata.lineage import ancestors, descendants, find_artifact
from penstock.metadata.protocol import Store
from penstock.metadata.reading import ArtifactRecord, links_of_executions, read_artifacts
from penstock.metadata.runs import RunRecord, find_context, find_run, list_runs
from penstock.metadata.store import artifacts_by_id, execution_outputs
from penstock.operations.delivery import records
from penstock.report import charts
from penstock.report import page as report_page
from penstock.report.contents import RunContents, RunNode, read_run
from penstock.report.evaluations import COUNT
from penstock.report.origins import tree_of
from penstock.report.progress import Places, Progress, read_progress, store_version
from penstock.report.resources import resources_of_node
from penstock.report.wording import plain
from penstock.surfaces.notebook.blocks import Block
from penstock.surfaces.ui.reports import Reports

# A store that takes longer is away, until it answers again; who reads a page waits no longer.
PATIENCE = Patience(seconds=2.0, call_seconds=10.0)
_MOST_SECONDS = 10.0
_RETRY_SECONDS = 5
_MOST_RUNS = 200
_LOG_LINES = 200
_BLOCK = 1 << 16
_MOST_KNOWN_RUNS = 1000
_MOST_CHOICES = 25
_MOST_FILES = 200
_BLESSED, _NOT_BLESSED = "blessed", "not blessed"
_STATES = ("done", "failed", "canceled", "abandoned", "running", _BLESSED, _NOT_BLESSED)


class OneAtATime:
    """A store that several threads use: one call at a time.

    Raises:
      StoreAway: by each of its methods, too, where a call of another thread takes too long.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = threading.Lock()

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._store, name)

        @functools.wraps(method)
        def locked(*arguments: Any, **options: Any) -> Any:
            if not self._lock.acquire(timeout=_MOST_SECONDS):
                raise StoreAway("the metadata store has not answered another page yet")
            try:
                return method(*arguments, **options)
            finally:
                self._lock.release()

        return locked


@dataclass(frozen=True)
class Followed:
    """Where a page asks how what it shows stands, and as what version of that it was made.

    `running` says that more is to come soon. A page that is `whole` is put in as a whole by one
    that was shown before, any other in its parts.
    """

    state: str
    version: str
    running: bool = False
    whole: bool = False


@dataclass(frozen=True)
class Order:
    """What a list of runs is sorted by: a column, and whether its greatest value comes first."""

    column: str = "began"
    is_descending: bool = True

    @classmethod
    def of(cls, text: str) -> Order:
        """Return the order of a name as `took`, or `-took`; that of time for others."""
        name = text.removeprefix("-")
        return cls(name, text.startswith("-")) if name in _COLUMNS else cls()

    def sorted(self, runs: Sequence[RunRecord], metrics: Mapping[str, Any]) -> list[RunRecord]:
        """Return runs in this order; those without a value come last."""
        key = _COLUMNS[self.column][1]
        valued = [(key(run, metrics), run) for run in runs]
        known = [pair for pair in valued if pair[0] is not None]
        known.sort(key=lambda pair: pair[0], reverse=self.is_descending)
        return [run for _, run in known] + [run for value, run in valued if value is None]

    def after_click(self, column: str) -> str:
        """Return the name of the order that a click on a column's head asks for."""
        if column == self.column:
            return column if self.is_descending else f"-{column}"
        return f"-{column}" if column in _GREATEST_FIRST else column

    def told(self, column: str) -> str:
        """Return what `aria-sort` says of a column."""
        if column != self.column:
            return "none"
        return "descending" if self.is_descending else "ascending"


def _metric_value(run: RunRecord, metrics: Mapping[str, Any]) -> tuple[str, float] | None:
    metric = metrics.get(run.run_id)
    if metric is None or not isinstance(metric.value, int | float) or metric.value != metric.value:
        return None
    return (metric.name, metric.value)


# The columns of the list of runs: what they are called, and what they are sorted by.
_COLUMNS: Mapping[str, tuple[str, Callable[[RunRecord, Mapping[str, Any]], Any]]] = {
    "state": ("State", lambda run, _: run.state),
    "run": ("Run", lambda run, _: run.run_id),
    "pipeline": ("Pipeline", lambda run, _: run.pipeline_name),
    "began": ("Began", lambda run, _: run.began),
    "took": ("Took", lambda run, _: run.seconds),
    "nodes": ("Nodes", lambda run, _: len(run.nodes)),
    "cached": ("Cached", lambda run, _: sum(node.cached for node in run.nodes)),
    "metric": ("Metric", _metric_value),
}
_NUMBERS = ("took", "nodes", "cached")
_GREATEST_FIRST = (*_NUMBERS, "began", "metric")


def _has_words(run: RunRecord, words: str) -> bool:
    """Return whether all words are in a run's name, its pipeline's, or its parameters."""
    parameters = (f"{name}={plain(value)}" for name, value in run.parameters.items())
    text = " ".join((run.run_id, run.pipeline_name, *parameters)).casefold()
    return all(word in text for word in words.casefold().split())


def artifact_files(uri: str) -> tuple[list[tuple[str, int]], bool]:
    """Return the first files of an artifact with their sizes, and whether there are more.

    Links are not followed, and of what is elsewhere than on this machine nothing is listed.
    """
    found: list[tuple[str, int]] = []
    if "://" in uri:
        return found, False
    if os.path.isfile(uri):
        return [(os.path.basename(uri), os.path.getsize(uri))], False
    for folder, folders, names in os.walk(uri):
        folders.sort()
        for name in sorted(names):
            if len(found) == _MOST_FILES:
                return found, True
            path = os.path.join(folder, name)
            with contextlib.suppress(OSError):  # it is gone meanwhile
                found.append((os.path.relpath(path, uri), os.lstat(path).st_size))
    return found, False


@dataclass
class Pages:
    """Pages over one store, which several requests may ask for at the same time."""

    store: Store
    where: str = ""
    places: Places = field(default_factory=Places)
    done_runs: dict[tuple[int, int], RunRecord] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.store = OneAtATime(self.store)
        self.reports = Reports(self.store)

    def runs(self, request: Request) -> Response:
        """List runs, those of a pipeline or in a state where the request asks for them."""
        pipeline = request.query_params.get("pipeline", "")
        state = request.query_params.get("state", "")
        words = request.query_params.get("q", "").strip()
        order = Order.of(request.query_params.get("sort", ""))
        version = store_version(self.store)
        records = list_runs(
            self.store, pipeline_name=pipeline or None, most=_MOST_RUNS, done_runs=self.done_runs
        )
        if len(self.done_runs) > _MOST_KNOWN_RUNS:
            self.done_runs.clear()
        names = {c.name for c in self.store.get_contexts_by_type("pipeline")}
        verdicts, metrics = self._outcomes(records)
        matches = [
            run
            for run in records
            if state in ("", run.state, verdicts.get(run.run_id, "")) and _has_words(run, words)
        ]
        running = any(run.state == "running" for run in matches)
        matches = order.sorted(matches, metrics)
        return self.rendered(
            "runs.html",
            runs=matches,
            metrics=metrics,
            verdicts=verdicts,
            order=order,
            columns={name: title for name, (title, _) in _COLUMNS.items()},
            numbers=_NUMBERS,
            q=words,
            pipelines=sorted(names),
            states=_STATES,
            pipeline=pipeline,
            state=state,
            is_listed=len(records) == _MOST_RUNS,
            most=_MOST_RUNS,
            followed=Followed("/state", version, running),
        )

    def runs_state(self, request: Request) -> Response:
        """Tell the version of the list of runs."""
        return _versioned_response(request, store_version(self.store))

    def _outcomes(self, runs: list[Any]) -> tuple[dict[str, str], dict[str, Any]]:
        """Return whether each run blessed its model, and the first metric of its evaluation.

        Both are as far as the store has them.
        """
        of_execution = {n.execution_id: (run.run_id, n.node_id) for run in runs for n in run.nodes}
        links = [link for link in links_of_executions(self.store, of_execution) if link.is_output]
        artifacts = read_artifacts(self.store, {link.artifact_id for link in links})
        first: dict[str, Any] = {}
        verdicts: dict[str, str] = {}
        for link in links:
            artifact = artifacts.get(link.artifact_id)
            run_id, node_id = of_execution[link.execution_id]
            # What a resolver hands on belongs to other runs.
            if artifact is None or f"/{node_id}/" not in f"{artifact.uri}/":
                continue
            if artifact.type_name == "ModelEvaluation":
                for metric in metrics_of(artifact):
                    if metric.name != COUNT:
                        first.setdefault(run_id, metric)
            if artifact.type_name == "ModelBlessing":
                blessed = artifact.properties.get("blessed")
                # Of several models one that is not good enough is what people look for.
                if blessed == 0:
                    verdicts[run_id] = _NOT_BLESSED
                elif blessed == 1:
                    verdicts.setdefault(run_id, _BLESSED)
        return verdicts, first

    def run(self, request: Request) -> Response:
        """Show a run: its report, with the nodes and artifacts as links."""
        progress = self._progress(request)
        path = _path(progress.run_id)
        running = progress.state == "running"
        report = self.reports.report(progress)
        return self.rendered(
            "run.html",
            report=report,
            # Aliases move without any change of the run.
            registered=report_page.registered_of(self.store, report.contents),
            model_links="/models/{}",
            deployments=records.of_run(self.store, progress.run_id),
            node_links=f"{path}/nodes/{{}}",
            run_links="/runs/{}",
            artifact_links="/artifacts/{}",
            live=_status(progress),
            followed=Followed(f"{path}/state", progress.version, running, whole=not running),
            **report_page.LIMITS,
        )

    def run_state(self, request: Request) -> Response:
        """Tell how a run and its nodes stand."""
        return _progress_response(request, progress := self._progress(request), progress.version)

    def _progress(self, request: Request) -> Progress:
        run_id = find_context(self.store, request.path_params["run"]).name
        return read_progress(self.store, run_id, self.places)

    def report(self, request: Request) -> Response:
        """Give the report of a run as a file that needs nothing else."""
        return HTMLResponse(report_page.render(self.reports.report(self._progress(request))))

    def node(self, request: Request) -> Response:
        """Show a node of a run: its state, what it took, was given and made, and its log's end."""
        progress = self._progress(request)
        contents, node = self._node(request)
        path = f"{_path(progress.run_id)}/nodes/{quote(node.node_id, safe='')}"
        running = node.state in ("running", "waiting") and progress.state == "running"
        version = progress.node_version(node.node_id)
        return self.rendered(
            "node.html",
            contents=contents,
            node=node,
            resources=resources_of_node(contents, node),
            log=log_tail(_log_path(contents, node), _LOG_LINES),
            log_path=_log_path(contents, node),
            lines=_LOG_LINES,
            artifact_links="/artifacts/{}",
            followed=Followed(f"{path}/state", version, running, whole=not running),
        )

    def node_state(self, request: Request) -> Response:
        """Tell how a node stands, with the others of its run."""
        progress = self._progress(request)
        version = progress.node_version(request.path_params["node"])
        return _progress_response(request, progress, version)

    def log(self, request: Request) -> Response:
        """Give the whole log of a node."""
        contents, node = self._node(request)
        try:
            log = open_run_file(_log_path(contents, node), "rb")
        except OSError:
            return PlainTextResponse("This node has no log.", 404)
        return StreamingResponse(_blocks(log), media_type="text/plain; charset=utf-8")

    def _node(self, request: Request) -> tuple[RunContents, RunNode]:
        contents = read_run(self.store, request.path_params["run"])
        node = contents.node(request.path_params["node"])
        if node is None:
            raise RunError(f"run {contents.run.run_id} has no node {request.path_params['node']!r}")
        return contents, node

    def artifact(self, request: Request) -> Response:
        """Show an artifact, what it was made from and what was made from it."""
        artifact = find_artifact(self.store, str(request.path_params["artifact"]))
        up = ancestors(self.store, artifact.artifact_id)
        down = descendants(self.store, artifact.artifact_id)
        files, more_files = artifact_files(artifact.uri)
        return self.rendered(
            "artifact.html",
            artifact=artifact,
            blocks=self._content(artifact, up.maker),
            files=files,
            more_files=more_files,
            maker=up.maker,
            made_from=tree_of(up),
            made_into=tree_of(down),
            artifact_links="/artifacts/{}",
        )

    def _content(self, artifact: ArtifactRecord, maker: ExecutionRecord | None) -> list[Block]:
        """Return what stands in an artifact: rows, statistics, metrics, as its type has it."""
        from penstock.surfaces.notebook.outputs import blocks_of_artifact

        beside = execution_outputs(self.store, maker.node.execution_id) if maker else {}
        neighbors = read_artifacts(self.store, [a.id for of in beside.values() for a in of])
        [found] = artifacts_by_id(self.store, [artifact.artifact_id])
        return blocks_of_artifact(found, artifact, list(neighbors.values()))

    def compare(self, request: Request) -> Response:
        """Show two runs side by side; where not two are marked, what can be marked."""
        named = list(dict.fromkeys(request.query_params.getlist("run")))
        if len(named) != 2:
            return self._choice(named)
        runs = [find_context(self.store, name).name for name in named]
        reports = [self.reports.report(read_progress(self.store, run, self.places)) for run in runs]
        # What is new is compared with what was before, in whichever order they are listed.
        reports.sort(key=lambda report: report.contents.run.began)
        names = [report.contents.run.run_id for report in reports]
        comparison = compare_runs(self.store, *names)
        return self.rendered(
            "compare.html",
            comparison=comparison,
            reports=reports,
            curves=_curves(reports),
            seconds_of=seconds_of,
        )

    def _choice(self, named: Sequence[str]) -> Response:
        """Show the marked runs, and where that is one the others of its pipeline, to mark two."""
        marked = [find_run(self.store, name) for name in named[:_MOST_RUNS]]
        shown = {run.run_id: run for run in marked}
        if len(marked) < 2:
            pipeline = marked[0].pipeline_name if marked else None
            for run in list_runs(self.store, pipeline_name=pipeline, most=_MOST_CHOICES):
                shown.setdefault(run.run_id, run)
        runs = sorted(shown.values(), key=lambda run: run.began, reverse=True)
        return self.rendered("choose.html", runs=runs, marked={run.run_id for run in marked})

    def rendered(self, template: str, **content: Any) -> Response:
        """Return a page of a template with what it is to show."""
        templates = report_page.environment("penstock.surfaces.ui")
        head = report_page.head(templates, "live.js")
        text = templates.get_template(template).render(
            head=head,
            where=self.where,
            connections=_SELF,
            forms=_SELF,
            **{"followed": None, **content},
        )
        return HTMLResponse(text)

    def answering(
        self, page: Callable[[Request], Response], limit: Limit
    ) -> Callable[[Request], Awaitable[Response]]:
        """Return a page that is made in a thread, of which those of its limit have a number."""

        def answer(request: Request) -> Response:
            try:
                return page(request)
            except PenstockError as error:
                is_away = isinstance(error, StoreAway)
                headline = "The store does not answer" if is_away else "Not found"
                response = self.rendered("error.html", error=error, headline=headline)
                response.status_code = 503 if is_away else 404
                if is_away:
                    response.headers["retry-after"] = str(_RETRY_SECONDS)
                return response

        async def answered(request: Request) -> Response:
            return await anyio.to_thread.run_sync(answer, request, limiter=limit.limiter)

        return answered


@dataclass(frozen=True)
class Limit:
    """How many threads make pages that take alike long, so that slow ones leave room for others."""

    threads: int

    @functools.cached_property
    def limiter(self) -> anyio.CapacityLimiter:
        """The limit, for the event loop that first asks for it."""
        return anyio.CapacityLimiter(self.threads)


def _progress_response(request: Request, progress: Progress, version: str) -> Response:
    return _versioned_response(
        request,
        version,
        run=progress.run_id,
        state=progress.state,
        nodes=progress.nodes,
        status=_status(progress),
    )


def _versioned_response(request: Request, version: str, **content: Any) -> Response:
    """Tell a version and what else it is of, or that the one that is known is still right."""
    tag = f'"{version}"'
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers={"etag": tag})
    return JSONResponse({"version": version, **content}, headers={"etag": tag})


def _status(progress: Progress) -> str:
    """Say how a run that is under way stands; "" for one that is over."""
    if progress.state != "running":
        return ""
    counts = charts.counted(Counter(progress.nodes.values()))
    return f"Running: {counts}. This page follows it."


def _path(run_id: str) -> str:
    return f"/runs/{quote(run_id, safe='')}"


_SELF = Markup("'self'")


def _blocks(log: IO[bytes]) -> Iterator[bytes]:
    with log:
        while block := log.read(_BLOCK):
            yield block


def _log_path(contents: RunContents, node: RunNode) -> str:
    return log_path(contents.log_folder, node.node_id) if contents.log_folder else ""


def _curves(reports: list[Any]) -> list[tuple[str, list[Curve]]]:
    """Return the curves that both runs have or one, by what they measure, named by their run."""
    by_measure: dict[str, list[Curve]] = {}
    for report, which in zip(reports, ("first", "second"), strict=True):
        for training in report.training:
            for measure, of_measure in training.charts:
                by_measure.setdefault(measure, []).extend(
                    Curve(c.tag, f"{which}: {c.run or c.tag}", c.steps, c.values)
                    for c in of_measure
                    if len(c.steps) > 1
                )
    return [(measure, of_measure) for measure, of_measure in by_measure.items() if of_measure]
