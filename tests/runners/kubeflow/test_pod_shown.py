"""What the Kubeflow UI is given to show of a node."""

from __future__ import annotations

from penstock.artifacts import Model
from penstock.data.evaluation import ConfusionMatrix
from penstock.runners.kubeflow import outputs, shown


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
