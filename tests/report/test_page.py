"""What a report says, read as a browser shows it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from penstock.metadata.store import connect, connection_config
from penstock_support import browsing
from penstock_support.reported_components import HOSTILE

PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True}
DESKTOP = {"viewport": {"width": 1280, "height": 900}}
KINDS = ("blessed", "cached", "refused", "failed", "hostile", "large")


@pytest.fixture
def show(chromium, results):
    """Open the report of a run: show(kind, **options of the browser's context)."""
    opened = []

    def open_report(kind: str, **options):
        shown = browsing.watched(chromium, **{**DESKTOP, **options})
        found = shown.__enter__()
        opened.append(shown)
        found.page.goto(Path(getattr(results, kind).report).as_uri())
        return found

    yield open_report
    for shown in opened:
        shown.__exit__(None, None, None)


def verdict(shown) -> str:
    return shown.page.locator(".verdict").inner_text()


@pytest.mark.parametrize("kind", KINDS)
def test_it_needs_nothing_but_its_file_and_complains_of_nothing(show, kind):
    shown = show(kind)
    assert [url for url in shown.requests if not url.startswith(("file:", "data:"))] == []
    assert shown.complaints == []


@pytest.mark.parametrize(
    ("kind", "size", "scheme"),
    [
        ("blessed", PHONE, "light"),
        ("blessed", DESKTOP, "dark"),
        ("failed", DESKTOP, "light"),
        ("hostile", PHONE, "dark"),
    ],
)
def test_it_keeps_the_rules_of_accessibility(show, kind, size, scheme):
    shown = show(kind, color_scheme=scheme, **size)
    shown.page.evaluate("document.querySelectorAll('details').forEach((d) => (d.open = true))")
    assert shown.violations() == []


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_wider_than_a_phone(show, kind):
    page = show(kind, **PHONE).page
    assert page.evaluate("document.documentElement.scrollWidth") == 390


def test_the_verdict_comes_first_and_says_why_and_where_the_model_went(show):
    shown = show("blessed")
    assert "Blessed" in verdict(shown)
    assert "Its threshold holds." in verdict(shown)
    assert "Pushed to serving/1" in verdict(shown)
    assert shown.page.title().endswith(": Blessed")


def test_a_model_that_is_not_blessed_has_its_reasons(show):
    told = verdict(show("refused"))
    assert "Not blessed" in told
    assert "accuracy on Overall is 0.7, and should be at least 0.9." in told
    assert "Push pushed no model." in told


def test_a_failed_run_names_the_node_its_error_and_the_end_of_its_log(show):
    shown = show("failed")
    assert "Failed: Train" in verdict(shown)
    assert "ValueError: no such luck" in verdict(shown)
    shown.page.get_by_text("The end of its log").click()
    assert "learning" in shown.page.get_by_label("The log of Train").inner_text()


def test_nodes_after_a_failure_are_shown_as_not_run(show):
    row = show("failed").page.get_by_role("row").filter(has_text="Evaluate")
    assert "not run" in row.inner_text()


def test_a_cached_node_says_which_run_made_what_it_found(show, results):
    row = show("cached").page.get_by_role("row").filter(has_text="MakeStatistics").first
    assert "cached" in row.inner_text()
    assert f"made by {results.blessed.run_id}" in row.inner_text()


def test_the_graph_has_every_node_with_its_state_in_words(show):
    graph = show("failed").page.get_by_role("img", name=re.compile("The pipeline's 5 nodes"))
    names = graph.locator("title").all_text_contents()
    assert any(name.startswith("Train: failed") for name in names)
    assert "Push: not run" in names


def test_what_drifted_comes_before_what_did_not(show):
    first = show("blessed").page.locator(".features > li").first.inner_text()
    assert first.startswith("number_1")
    assert "drift train 0.21 of 0.25" in first


def test_what_has_an_anomaly_comes_first_and_says_what_is_wrong(show):
    page = show("hostile").page
    assert "2 anomalies in the data" in page.locator(".problem").first.inner_text()
    first = page.locator(".features > li").first.inner_text()
    assert "2 anomalies" in first
    assert "Unexpected string values in train" in first


def test_metrics_have_their_confidence_intervals(show):
    row = show("blessed").page.get_by_label("Metrics on all examples").get_by_role("row").nth(1)
    assert row.inner_text().split() == ["accuracy", "0.9300", "0.9100", "to", "0.9500"]


def test_thresholds_say_what_was_measured_and_whether_they_hold(show):
    rows = show("refused").page.get_by_label("Thresholds").get_by_role("row").all_inner_texts()
    assert rows[1].split() == ["accuracy", "Overall", "at", "least", "0.9", "0.7000", "✕", "no"]


def test_the_worst_slice_comes_first(show):
    rows = show("blessed").page.get_by_label("accuracy by slice").get_by_role("row")
    assert rows.nth(1).inner_text().startswith("island:value 2")


def test_training_has_a_curve_with_a_name_and_a_table(show):
    page = show("blessed").page
    name = "loss over training: train from 1 to 0.2; validation from 1 to 0.2"
    assert page.get_by_role("img", name=name).count() == 1
    page.get_by_text("Values of loss").first.click()
    assert page.get_by_label("Values of loss").get_by_role("row").count() == 11


def test_the_pushed_model_is_traced_to_its_data(show):
    tree = show("blessed").page.locator(".tree").inner_text()
    assert tree.index("PushedModel") < tree.index("model: Model") < tree.index("Examples")


def test_parameters_and_versions_are_told(show):
    page = show("blessed").page
    assert "accuracy" in page.get_by_label("Parameters of the pipeline").inner_text()
    assert "tensorflow-transform" in page.get_by_label("Versions and machine").inner_text()


def test_names_and_messages_are_shown_and_never_run(show):
    shown = show("hostile")
    assert shown.complaints == []
    assert "taken" not in shown.page.title()
    assert shown.page.locator("img").count() == 0
    assert HOSTILE in shown.page.locator(".features").first.inner_text()
    assert f"island:{HOSTILE}" in shown.page.get_by_label("accuracy by slice").inner_text()


def test_what_a_name_smuggles_in_would_not_run_either(show):
    page = show("blessed").page
    page.evaluate("document.body.append(document.createElement('script'))")
    page.evaluate("document.body.lastChild.textContent = 'document.title = \"taken\"'")
    page.evaluate("document.body.insertAdjacentHTML('beforeend', '<i onclick=\"alert(1)\">x</i>')")
    assert page.title() != "taken"


def test_thousands_of_features_are_folded_and_found_by_their_names(show):
    page = show("large").page
    assert page.locator(".features > li:visible").count() == 24
    page.get_by_label("Find a feature").fill("number_2718")
    assert page.locator(".features > li:visible h4").all_text_contents() == ["number_2718"]
    assert page.get_by_text("1 of 3001").count() == 1


def test_hundreds_of_slices_are_folded_and_found_by_their_names(show):
    page = show("large").page
    assert page.locator("table.slices tbody tr:visible").count() == 20
    page.get_by_label("Find a slice").fill("value 123")
    assert page.locator("table.slices tbody tr:visible").count() == 1


def test_all_is_there_without_javascript(show):
    page = show("large", java_script_enabled=False).page
    assert page.locator("p.search:visible").count() == 0
    page.get_by_text("2,977 more features").click()
    assert page.locator(".features > li:visible").count() == 3001


def test_the_keyboard_reaches_the_content_first_then_sections_and_folds(show):
    page = show("blessed").page
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Evaluation"
    outline = "getComputedStyle(document.activeElement).outlineStyle"
    assert page.evaluate(outline) == "solid"
    page.locator("summary", has_text="Values of loss").focus()
    page.keyboard.press("Enter")
    assert page.get_by_label("Values of loss").get_by_role("row").count() == 11


def test_gone_artifacts_are_told_and_the_rest_is_shown(moved, results, tmp_path):
    root = Path(results.blessed.report).parents[2]
    aside = root.rename(root.with_name("aside"))
    try:
        text = moved.write(results.blessed.run_id, tmp_path / "report.html")
    finally:
        aside.rename(root)
    assert "artifacts are gone" in text
    assert "there is no such file" in text
    assert "there are no metrics in this evaluation" in text
    assert "Blessed" in text
    assert "0.9300" in text


def test_what_stands_in_an_object_store_is_read_from_a_copy(runs, results, tmp_path):
    import fsspec

    evaluation = results.blessed.output("Evaluate", "evaluation")
    address = "memory://bucket/evaluation"
    fsspec.filesystem("memory").put(evaluation.uri, "/bucket/evaluation", recursive=True)
    with connect(connection_config(runs.address), create=False) as metadata:
        [stored] = metadata.store.get_artifacts_by_id([evaluation.id])
        before = stored.uri
        stored.uri = address
        metadata.store.put_artifacts([stored])
        try:
            text = runs.write(results.blessed.run_id, tmp_path / "report.html")
        finally:
            stored.uri = before
            metadata.store.put_artifacts([stored])
    assert "island:value 2" in text
    assert address in text
    assert "Could not be read" not in text


def test_a_report_that_cannot_be_written_fails_no_run(runs, results, monkeypatch):
    import penstock.report

    def broken(*_):
        raise OSError("no")

    monkeypatch.setattr(penstock.report, "write_report", broken)
    again = runs.run()
    assert again.succeeded
    assert again.report == ""
    assert again.report_error.startswith("OSError: no")


def test_making_one_loads_no_tensorflow(runs, results, tmp_path):
    code = (
        "import sys\n"
        "from penstock.metadata.store import connect, connection_config\n"
        "from penstock.report import write_report\n"
        "with connect(connection_config(sys.argv[1]), create=False) as metadata:\n"
        "    write_report(metadata.store, sys.argv[2], sys.argv[3])\n"
        "sys.exit('tensorflow' in sys.modules)\n"
    )
    arguments = [runs.address, results.blessed.run_id, str(tmp_path / "report.html")]
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code, *arguments], check=False)
    assert done.returncode == 0
    assert (tmp_path / "report.html").stat().st_size > 10_000


def test_the_command_writes_it_to_the_file_that_is_named(runs, results, tmp_path):
    from click.testing import CliRunner

    from penstock.surfaces.cli.main import penstock

    config = tmp_path / "penstock.toml"
    config.write_text(f'[profiles.default]\nmetadata = "{runs.address}"\n')
    path = tmp_path / "new" / "own.html"
    arguments = ["--config", str(config), "report", results.refused.run_id, "-o", str(path)]
    done = CliRunner().invoke(penstock, arguments)
    assert done.exit_code == 0, done.output
    assert "Not blessed" in path.read_text()


def test_without_a_file_the_command_renews_the_one_beside_the_logs(runs, results, tmp_path):
    from click.testing import CliRunner

    from penstock.surfaces.cli.main import penstock

    config = tmp_path / "penstock.toml"
    config.write_text(f'[profiles.default]\nmetadata = "{runs.address}"\n')
    Path(results.cached.report).unlink()
    done = CliRunner().invoke(penstock, ["--config", str(config), "report", results.cached.run_id])
    assert done.exit_code == 0, done.output
    assert Path(results.cached.report).exists()
