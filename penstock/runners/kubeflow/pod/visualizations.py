"""What the Kubeflow UI shows of a node: metrics, how it classifies, and a page of what came of it.

Each is an artifact of a type that the UI knows, whatever there is to show.
"""

from __future__ import annotations

import html
import json
import math
import os
import tempfile
from collections.abc import Iterable, Mapping
from typing import Any

from penstock import _tfx
from penstock.data.results import evaluation
from penstock.data.results.evaluation import ConfusionMatrix
from penstock.errors import DataError
from penstock.execution.contents import visible_properties
from penstock.metadata.evaluations import metrics_of
from penstock.metadata.protocol import Store
from penstock.metadata.reading import to_records
from penstock.runners.kubeflow.contract.task import CLASSIFICATION, METRICS, REPORT, PodTask
from penstock.runners.kubeflow.pod.inputs import Copies
from penstock.runners.kubeflow.pod.launcher import ExecutorInput

_EVALUATION, _PUSHED = "ModelEvaluation", "PushedModel"
_MOST_POINTS = 200

_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>{title}</title>
<style>
body {{ font: 15px/1.5 system-ui, sans-serif; margin: 2em auto; max-width: 60em; color: #1b1f24 }}
table {{ border-collapse: collapse; margin: .5em 0 1.5em }}
th, td {{ text-align: left; vertical-align: top; padding: .2em 1em .2em 0;
          border-bottom: 1px solid #d8dee4; overflow-wrap: anywhere }}
h1 {{ font-size: 1.4em }} h2 {{ font-size: 1.1em }}
</style>
<h1>{title}</h1>
<p>{state}</p>
{sections}
</html>
"""


def reported(
    task: PodTask,
    executor_input: ExecutorInput,
    store: Store,
    run_id: str,
    outputs: _tfx.Artifacts,
    state: str,
) -> dict[str, tuple[str, Mapping[str, Any]]]:
    """Make what the UI shows; return URI and metadata of each for the launcher.

    A node that evaluates or pushes a model shows the report of the run so far, others their own
    page.
    """
    wanted = {
        name: executor_input.outputs[name] for name in task.shown if name in executor_input.outputs
    }
    if not wanted:
        return {}
    metrics = _metrics(store, outputs)
    files: dict[str, str] = {}
    metadata: dict[str, Mapping[str, Any]] = {}
    if METRICS in wanted:
        files[METRICS], metadata[METRICS] = json.dumps(metrics), metrics
    if CLASSIFICATION in wanted:
        points = _roc(_confusion_matrices(task, executor_input, outputs))
        metadata[CLASSIFICATION] = {"confidenceMetrics": points} if points else {}
        files[CLASSIFICATION] = json.dumps(metadata[CLASSIFICATION])
    if REPORT in wanted:
        files[REPORT], metadata[REPORT] = page(task.node, state, outputs, metrics), {}
        if _decides(outputs):
            try:
                files[REPORT] = _report_of_run(executor_input, store, run_id)
            except Exception as error:  # the node has done its work all the same
                state = f"{state}. The report of the run cannot be made: {error}"
                files[REPORT] = page(task.node, state, outputs, metrics)
    reports: dict[str, tuple[str, Mapping[str, Any]]] = {}
    for name, launched in wanted.items():
        with open(launched.path, "w", encoding="utf-8") as file:
            file.write(files[name])
        reports[name] = (launched.uri, metadata[name])
    return reports


def _decides(outputs: _tfx.Artifacts) -> bool:
    """Whether a node has made what tells how the run came out."""
    types = {artifact.type_name for artifacts in outputs.values() for artifact in artifacts}
    return bool(types & {_EVALUATION, _PUSHED})


def _report_of_run(executor_input: ExecutorInput, store: Store, run_id: str) -> str:
    """Return the report of a run so far."""
    from penstock.report import write_report

    all_launched = [a for launched in executor_input.inputs.values() for a in launched] + [
        *executor_input.outputs.values()
    ]
    copies = Copies({artifact.uri: artifact.path for artifact in all_launched})
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "report.html")
        write_report(store, run_id, path, copied_to=copies.path)
        with open(path, encoding="utf-8") as file:
            return file.read()


def _metrics(store: Store, outputs: _tfx.Artifacts) -> dict[str, float]:
    """Return all numbers that the outputs carry: an evaluation's metrics, counts of rows."""
    metrics: dict[str, float] = {}
    for key, artifacts in outputs.items():
        for artifact in artifacts:
            if artifact.type_name == _EVALUATION:
                [record] = to_records(store, [artifact.mlmd_artifact]).values()
                metrics.update({metric.name: metric.value for metric in metrics_of(record)})
            for name, value in visible_properties(artifact.mlmd_artifact).items():
                if isinstance(value, (int, float)) and not name.startswith("__"):
                    # A truth value is no number for newer launchers, which then fail the node.
                    metrics[f"{key}.{name}"] = +value
    return {name: value for name, value in metrics.items() if math.isfinite(value)}


def _confusion_matrices(
    task: PodTask, executor_input: ExecutorInput, outputs: _tfx.Artifacts
) -> list[ConfusionMatrix]:
    for output in task.outputs:
        is_evaluation = output.type == _EVALUATION and outputs.get(output.key)
        if is_evaluation and output.name in executor_input.outputs:
            try:
                return evaluation.confusion_matrices(executor_input.outputs[output.name].path)
            except DataError:
                return []  # it came from the cache, and is elsewhere
    return []


def _roc(matrices: Iterable[ConfusionMatrix]) -> list[dict[str, float]]:
    """Return the points of an ROC curve as the UI reads them, the highest threshold first."""
    points = [
        {
            "confidenceThreshold": matrix.threshold,
            "recall": matrix.true_positives / positives,
            "falsePositiveRate": matrix.false_positives / negatives,
        }
        for matrix in sorted(matrices, key=lambda matrix: -matrix.threshold)
        if (positives := matrix.true_positives + matrix.false_negatives)
        and (negatives := matrix.false_positives + matrix.true_negatives)
        and math.isfinite(matrix.threshold)
    ]
    step = max(1, math.ceil(len(points) / _MOST_POINTS))
    return points[::step]


def page(title: str, state: str, outputs: _tfx.Artifacts, metrics: Mapping[str, float]) -> str:
    """Return a page about what came of a node, complete in itself."""
    sections = []
    if metrics:
        sections.append(_table("Metrics", [(n, f"{v:.6g}") for n, v in sorted(metrics.items())]))
    for key, artifacts in outputs.items():
        for artifact in artifacts:
            rows = [("address", artifact.uri)]
            rows += [(n, str(v)) for n, v in visible_properties(artifact.mlmd_artifact).items()]
            sections.append(_table(f"{key}: {artifact.type_name}", rows))
    return _PAGE.format(
        title=html.escape(title), state=html.escape(state), sections="\n".join(sections)
    )


def _table(heading: str, rows: Iterable[tuple[str, str]]) -> str:
    cells = "\n".join(
        f'<tr><th scope="row">{html.escape(name)}</th><td>{html.escape(value)}</td></tr>'
        for name, value in rows
    )
    return f"<h2>{html.escape(heading)}</h2>\n<table>\n{cells}\n</table>"
