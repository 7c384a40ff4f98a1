"""The pages: each is read from the store when it is asked for, and changes nothing."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response

from penstock.data.results.training_curves import Curve
from penstock.errors import PenstockError, RunError
from penstock.execution.logs import log_tail
from penstock.metadata.comparison import compare_runs, seconds_of
from penstock.metadata.evaluations import metrics_of
from penstock.metadata.lineage import ancestors, descendants, find_artifact
from penstock.metadata.reading import links_of_executions, read_artifacts
from penstock.metadata.runs import list_runs
from penstock.report import page as report_page
from penstock.report.contents import RunContents, RunNode, read_run
from penstock.report.evaluations import COUNT
from penstock.report.origins import tree_of

_MOST_RUNS = 200
_LOG_LINES = 200
_STATES = ("done", "failed", "canceled", "running")


@dataclass
class Pages:
    """Pages over one store; a lock lets one request at a time ask it."""

    store: Any
    where: str = ""
    lock: threading.Lock = field(default_factory=threading.Lock)

    def runs(self, request: Request) -> Response:
        """List runs, those of a pipeline or in a state where the request asks for them."""
        pipeline = request.query_params.get("pipeline", "")
        state = request.query_params.get("state", "")
        found = list_runs(self.store, pipeline_name=pipeline or None, most=_MOST_RUNS)
        names = {c.name for c in self.store.get_contexts_by_type("pipeline")}
        shown = [run for run in found if state in ("", run.state)]
        return self._page(
            "runs.html",
            runs=shown,
            metrics=self._metrics(shown),
            pipelines=sorted(names),
            states=_STATES,
            pipeline=pipeline,
            state=state,
            most=_MOST_RUNS,
        )

    def _metrics(self, runs: list[Any]) -> dict[str, Any]:
        """Return the first metric of each run's evaluation, as far as the store has it."""
        of_execution = {n.execution_id: run.run_id for run in runs for n in run.nodes}
        links = [link for link in links_of_executions(self.store, of_execution) if link.is_output]
        artifacts = read_artifacts(self.store, {link.artifact_id for link in links})
        first: dict[str, Any] = {}
        for link in links:
            artifact = artifacts.get(link.artifact_id)
            if artifact is not None and artifact.type_name == "ModelEvaluation":
                for metric in metrics_of(artifact):
                    if metric.name != COUNT:
                        first.setdefault(of_execution[link.execution_id], metric)
        return first

    def run(self, request: Request) -> Response:
        """Show a run: its report, with the nodes and artifacts as links."""
        report = report_page.build(self.store, request.path_params["run"])
        run_id = report.contents.run.run_id
        return self._page(
            "run.html",
            report=report,
            node_links=f"/runs/{quote(run_id, safe='')}/nodes/{{}}",
            artifact_links="/artifacts/{}",
            live=report.contents.run.state == "running",
            **report_page.LIMITS,
        )

    def report(self, request: Request) -> Response:
        """Give the report of a run as a file that needs nothing else."""
        report = report_page.build(self.store, request.path_params["run"])
        return HTMLResponse(report_page.render(report))

    def node(self, request: Request) -> Response:
        """Show a node of a run: its state, what it took, was given and made, and its log's end."""
        contents, node = self._node(request)
        return self._page(
            "node.html",
            contents=contents,
            node=node,
            log=log_tail(_log_path(contents, node), _LOG_LINES),
            log_path=_log_path(contents, node),
            lines=_LOG_LINES,
            artifact_links="/artifacts/{}",
            live=node.state in ("running", "waiting") and contents.run.state == "running",
        )

    def log(self, request: Request) -> Response:
        """Give the whole log of a node."""
        contents, node = self._node(request)
        try:
            with open(_log_path(contents, node), encoding="utf-8", errors="replace") as file:
                return PlainTextResponse(file.read())
        except OSError:
            return PlainTextResponse("This node has no log.", 404)

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
        return self._page(
            "artifact.html",
            artifact=artifact,
            maker=up.maker,
            made_from=tree_of(up),
            made_into=tree_of(down),
            artifact_links="/artifacts/{}",
        )

    def compare(self, request: Request) -> Response:
        """Show two runs side by side."""
        named = request.query_params.getlist("run")
        if len(named) != 2:
            raise RunError(
                f"expected two runs to compare, got {len(named)}",
                hint="Go back and mark two of them.",
            )
        reports = [report_page.build(self.store, name) for name in named]
        # What is new is compared with what was before, in whichever order they are listed.
        reports.sort(key=lambda report: report.contents.run.began)
        names = [report.contents.run.run_id for report in reports]
        comparison = compare_runs(self.store, *names)
        return self._page(
            "compare.html",
            comparison=comparison,
            reports=reports,
            curves=_curves(reports),
            seconds_of=seconds_of,
        )

    def _page(self, template: str, **content: Any) -> Response:
        templates = report_page.environment("penstock.surfaces.ui")
        head = report_page.head(templates, "live.js")
        text = templates.get_template(template).render(
            head=head, where=self.where, connections=_SELF, forms=_SELF, **content
        )
        return HTMLResponse(text)

    def answering(self, page: Callable[[Request], Response]) -> Callable[[Request], Response]:
        """Return a page that the store is asked for by one request at a time."""

        def answer(request: Request) -> Response:
            try:
                with self.lock:
                    return page(request)
            except PenstockError as error:
                response = self._page("error.html", error=error)
                response.status_code = 404
                return response

        return answer


_SELF = Markup("'self'")


def _log_path(contents: RunContents, node: RunNode) -> str:
    return os.path.join(contents.log_folder, f"{node.node_id}.log") if contents.log_folder else ""


def _curves(reports: list[Any]) -> list[tuple[str, list[Curve]]]:
    """Return the curves that both runs have or one, by what they measure, named by their run."""
    by_measure: dict[str, list[Curve]] = {}
    for report, which in zip(reports, ("first", "second"), strict=True):
        for training in report.training:
            for measure, found in training.charts:
                by_measure.setdefault(measure, []).extend(
                    Curve(c.tag, f"{which}: {c.run or c.tag}", c.steps, c.values)
                    for c in found
                    if len(c.steps) > 1
                )
    return [(measure, found) for measure, found in by_measure.items() if found]
