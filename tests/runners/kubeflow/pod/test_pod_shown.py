"""What the Kubeflow UI is given to show of a node."""

from __future__ import annotations

import pytest

from penstock.artifacts import Model
from penstock.data.results.evaluation import ConfusionMatrix
from penstock.metadata.store import connect, connection_config
from penstock.runners.kubeflow.contract.task import REPORT, PodTask
from penstock.runners.kubeflow.pod import outputs
from penstock.runners.kubeflow.pod import visualizations as shown
from penstock.runners.kubeflow.pod.launcher import ExecutorInput, LaunchedArtifact
from penstock_support import crash_components as crashing


def test_an_roc_curve_has_a_point_for_each_threshold_the_highest_first():
    matrices = [ConfusionMatrix(0.2, 4, 3, 7, 1), ConfusionMatrix(0.8, 2, 1, 9, 3)]
    assert shown._roc(matrices) == [
        {"confidenceThreshold": 0.8, "recall": 0.4, "falsePositiveRate": 0.1},
        {"confidenceThreshold": 0.2, "recall": 0.8, "falsePositiveRate": 0.3},
    ]


def test_an_roc_curve_leaves_out_what_has_no_rows_of_a_class():
    assert shown._roc([ConfusionMatrix(0.5, 0, 3, 7, 0), ConfusionMatrix(0.5, 1, 0, 0, 1)]) == []


def test_a_page_is_complete_and_lets_no_text_become_markup():
    model = Model()
    model.uri = "s3://b/<model>"
    model.set_string_custom_property("note", "<script>alert(1)</script>")
    page = shown.page("Trainer", "done", {"model": [model]}, {"accuracy": 0.5})
    assert "<script>" not in page
    assert "s3://b/&lt;model&gt;" in page
    assert "accuracy" in page
    assert "src=" not in page


def test_empty_folders_keep_a_file_without_content(tmp_path):
    (tmp_path / "Split-train").mkdir()
    (tmp_path / "Split-eval").mkdir()
    (tmp_path / "Split-eval" / "data").write_text("x")
    outputs.keep_empty_folders(str(tmp_path))
    files = {
        str(p.relative_to(tmp_path)): p.stat().st_size for p in tmp_path.rglob("*") if p.is_file()
    }
    assert files == {f"Split-train/{outputs.KEPT_FOLDER}": 0, "Split-eval/data": 1}


@pytest.fixture(scope="module")
def shown_by_pusher(tmp_path_factory):
    """Returns the page that a Pusher shows, as a node of a run of a certain name."""
    folder = tmp_path_factory.mktemp("pushed")
    parameters = {"serving": str(folder / "serving")}
    result = crashing.runner_in(folder).run(crashing.pushing, parameters=parameters)

    def show(run_id: str = result.run_id) -> str:
        task = PodTask("Pusher", {}, store="", project_folder="", shown=(REPORT,))
        launched = LaunchedArtifact("minio://bucket/report", str(folder / "page.html"))
        given = ExecutorInput({}, {}, {REPORT: launched}, {}, "")
        with connect(connection_config(str(folder / "metadata.sqlite"))) as metadata:
            made = result.nodes["Pusher"].outputs
            told = shown.reported(task, given, metadata.store, run_id, made, "done")
        assert told == {REPORT: ("minio://bucket/report", {})}
        return (folder / "page.html").read_text()

    return show


def test_a_node_that_pushes_shows_the_report_of_the_whole_run(shown_by_pusher):
    page = shown_by_pusher()
    assert "Reads" in page
    assert "Trains" in page


def test_a_report_that_cannot_be_made_fails_no_node(shown_by_pusher):
    page = shown_by_pusher("another-run")
    assert "done. The report of the run cannot be made: there is no run" in page
    assert "PushedModel" in page


def test_metrics_are_numbers_and_so_are_truth_values(tmp_path):
    model = Model()
    model.set_float_custom_property("rate", float("nan"))
    model.set_int_custom_property("rows", 3)
    model.mlmd_artifact.custom_properties["blessed"].bool_value = True
    metrics = shown._metrics(None, {"model": [model]})
    assert metrics == {"model.rows": 3, "model.blessed": 1}
    assert type(metrics["model.blessed"]) is int
