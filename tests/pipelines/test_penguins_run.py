"""The penguins pipeline from beginning to end, by the command line, from another folder."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

# Neither the usual one nor one that a library might set.
UMASK = 0o026


def penstock(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "penstock", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        umask=UMASK,
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("penguins")


@pytest.fixture(scope="module")
def first(folder):
    return penstock(folder, "run", "penguins")


@pytest.fixture(scope="module")
def shown(folder, first):
    record = json.loads(penstock(folder, "show", "latest", "--json").stdout)
    return {node["node_id"]: node for node in record["nodes"]}


@pytest.fixture(scope="module")
def again(folder, first, shown):
    return penstock(folder, "run", "penguins")


def test_the_run_succeeds(first):
    assert first.returncode == 0, first.stderr


def test_it_ends_with_metrics_blessing_push_and_where_to_look_next(first):
    lines = first.stdout.splitlines()
    assert any("accuracy  0.9" in line for line in lines)
    assert "  blessed    yes" in lines
    assert any(line.startswith("  pushed     ") for line in lines)
    assert any(line.startswith("  next       penstock show ") for line in lines)


def test_its_report_begins_with_the_verdict_and_stands_beside_the_logs(folder, first):
    [line] = [line for line in first.stdout.splitlines() if line.startswith("  report     ")]
    page = (folder / line.split()[-1]).read_text()
    assert page.index("Blessed") < page.index("The pipeline&#39;s 10 nodes")
    assert "island:Biscoe" in page
    assert "flipper_length_mm" in page


def test_every_node_is_recorded_as_done(shown):
    assert {node["state"] for node in shown.values()} == {"done"}
    assert {"CsvExampleGen", "Transform", "Trainer", "Evaluator", "Pusher"} <= set(shown)


def test_a_whole_version_is_pushed(folder, first):
    version = next((folder / "serving" / "penguins").glob("[0-9]*"))
    assert (version / "saved_model.pb").exists()
    assert (version / "variables" / "variables.index").exists()


def test_all_files_have_the_modes_that_the_user_s_umask_gives(folder, first):
    modes = {path: path.stat().st_mode & 0o777 for path in folder.rglob("*")}
    expected = {path: (0o777 if path.is_dir() else 0o666) & ~UMASK for path in modes}
    assert modes == expected


def test_the_same_again_uses_what_is_there_up_to_the_evaluation(again):
    states = dict(line.split()[:2] for line in again.stderr.splitlines()[1:] if line.strip())
    made = ("CsvExampleGen", "StatisticsGen", "Transform", "Trainer")
    assert {states[name] for name in made} == {"cached"}


def test_the_second_evaluation_has_the_first_model_as_baseline(folder, again, shown):
    record = json.loads(penstock(folder, "show", "latest", "--json").stdout)
    [evaluator] = [n for n in record["nodes"] if n["node_id"] == "Evaluator"]
    assert evaluator["inputs"]["baseline_model"] == shown["Trainer"]["outputs"]["model"]


def test_an_own_csv_takes_the_place_of_the_package_s(folder, first, tmp_path):
    [source] = (folder / ".penstock" / "penguins").rglob("*.csv")
    rows = source.read_text().splitlines()
    data = tmp_path / "mine"
    data.mkdir()
    (data / "some.csv").write_text("\n".join(rows[:200]) + "\n")
    done = penstock(tmp_path, "run", "penguins", "-p", f"data_root={data}", "--to", "CsvExampleGen")
    assert "199 rows" in done.stderr


def test_tensorflow_s_and_tfma_s_readers_read_what_the_run_made(shown, folder):
    script = f"""
import tensorflow as tf, tensorflow_data_validation as tfdv, tensorflow_model_analysis as tfma
import tensorflow_transform as tft, glob, os
shown = {json.dumps({k: v["outputs"] for k, v in shown.items()})}
[examples] = shown["CsvExampleGen"]["examples"]
rows = sum(
    1
    for split in ("train", "eval")
    for _ in tf.data.TFRecordDataset(glob.glob(f"{{examples}}/Split-{{split}}/*"), "GZIP")
)
assert rows == 344, rows
[statistics] = shown["StatisticsGen"]["statistics"]
loaded = tfdv.load_stats_binary(f"{{statistics}}/Split-train/FeatureStats.pb")
assert 0 < loaded.datasets[0].num_examples < 344
[graph] = shown["Transform"]["transform_graph"]
assert tft.TFTransformOutput(graph).transformed_feature_spec()
[evaluation] = shown["Evaluator"]["evaluation"]
assert tfma.load_eval_result(evaluation).slicing_metrics
assert tfma.load_validation_result(evaluation).validation_ok
version, *_ = glob.glob({str(folder)!r} + "/serving/penguins/*")
served = tf.saved_model.load(version).signatures["serving_default"]
[record] = tf.data.TFRecordDataset(glob.glob(f"{{examples}}/Split-eval/*"), "GZIP").take(1)
outputs = served(tf.constant([record.numpy()]))
assert all(tensor.shape[0] == 1 for tensor in outputs.values())
print("read")
"""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script], capture_output=True, text=True, check=False
    )
    assert done.stdout.split() == ["read"], done.stderr[-3000:]
