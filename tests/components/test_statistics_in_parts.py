"""Statistics of files read in parts are those of the rows read at once."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from tensorflow_metadata.proto.v0 import statistics_pb2

from penstock.components.statistics_gen import in_process, rows
from penstock.components.statistics_gen.options import statistics_options
from penstock.data.coding import examples
from penstock.data.records import write_serialized
from penstock.data.results.statistics import read_statistics
from penstock.errors import DataError
from penstock_support import PROGRAMS

SCRIPT = PROGRAMS / "statistics_in_processes.py"
ROWS = 12_000
EPSILON = 0.01  # of TFDV: how far the rank of an approximate quantile may be off
SPLITS = ("one_file", "files", "empty", "no_files")


def table(first: int, rows: int) -> pa.RecordBatch:
    """Rows with missing values, lists, unicode and a word that is in every row another."""
    words = ["", "naïve", "日本語", "🚕", "x" * 300]
    numbers = range(first, first + rows)
    columns = {
        "word": [words[row % 5] if row % 7 else None for row in numbers],
        "identifier": [f"id-{row}" for row in numbers],
        "fare": [row / 3 - 100 if row % 5 else None for row in numbers],
        "zones": [[row % 4, -row][: row % 3] for row in numbers],
        "weight": [1.0 + row % 2 for row in numbers],
        "only_late": [1 if row > ROWS / 2 else None for row in numbers],
    }
    arrays = {name: pa.array(values) for name, values in columns.items()}
    return pa.RecordBatch.from_arrays(list(arrays.values()), list(arrays))


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("statistics")


@pytest.fixture(scope="module")
def files(folder) -> dict[str, list[str]]:
    """The files of four splits: the same rows in one file and in three, none, and no file."""
    thirds = [examples.encode(table(first, ROWS // 3)) for first in range(0, ROWS, ROWS // 3)]
    written = [
        write_serialized(str(folder / "files"), f"part_{number}", third)[0]
        for number, third in enumerate(thirds)
    ]
    whole = write_serialized(
        str(folder / "one_file"), "data", [row for one in thirds for row in one]
    )
    empty = write_serialized(str(folder / "empty"), "data", [])
    return {"one_file": whole, "files": written, "empty": empty, "no_files": []}


@pytest.fixture(scope="module")
def broken(folder, files) -> str:
    """A file whose end is missing."""
    path = folder / "broken.gz"
    path.write_bytes(Path(files["one_file"][0]).read_bytes()[:-100])
    return str(path)


def options(name: str) -> dict[str, object]:
    """Arguments of `generate_statistics` that have a name."""
    weighted = {"weight_feature": "weight", "num_top_values": 7}
    return {
        "plain": {},
        "weighted": {"stats_options_json": json.dumps(weighted)},
        "sampled": {"sample_rate_by_split": dict.fromkeys(SPLITS, 0.1)},
    }[name]


@pytest.fixture(scope="module")
def done(folder, files, broken) -> dict[str, dict[str, object]]:
    """What became of jobs in a process with one CPU and with three, by their names."""
    jobs = {
        f"{name}_{cpus}": {"files_by_split": files, **options(name)}
        for name in ("plain", "weighted", "sampled")
        for cpus in (1, 3)
    }
    jobs["broken_3"] = {"files_by_split": {"train": [*files["files"], broken]}}
    arguments = [
        {"cpus": int(name[-1]), "arguments": {**job, "statistics_uri": str(folder / name)}}
        for name, job in jobs.items()
    ]
    found = subprocess.run(
        [sys.executable, "-W", "ignore", str(SCRIPT), json.dumps(arguments)],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert not found.returncode, found.stderr
    return dict(zip(jobs, json.loads(found.stdout.splitlines()[-1]), strict=True))


def statistics(folder: Path, job: str, split: str) -> statistics_pb2.DatasetFeatureStatistics:
    """Return what a job wrote."""
    return read_statistics(str(folder / job / f"Split-{split}")).datasets[0]


def exact(dataset: statistics_pb2.DatasetFeatureStatistics) -> str:
    """Return what is exact in statistics, means and deviations to nine digits."""
    copy = statistics_pb2.DatasetFeatureStatistics()
    copy.CopyFrom(dataset)
    for feature in copy.features:
        numbers, texts = feature.num_stats, feature.string_stats
        for part in (numbers, numbers.weighted_numeric_stats):
            part.ClearField("median")
            part.ClearField("histograms")
            part.mean, part.std_dev = float(f"{part.mean:.9g}"), float(f"{part.std_dev:.9g}")
        texts.avg_length = float(f"{texts.avg_length:.6g}")
        for common in (numbers.common_stats, texts.common_stats):
            common.ClearField("num_values_histogram")
            weighted = common.weighted_common_stats
            weighted.avg_num_values = float(f"{weighted.avg_num_values:.9g}")
    return str(copy)


def test_several_processes_are_used_where_there_are_cpus(done) -> None:
    assert {name: job["forked"] for name, job in done.items()} == {
        name: name.endswith("3") for name in done
    }


@pytest.mark.parametrize("job", ["plain", "weighted", "sampled"])
@pytest.mark.parametrize("split", SPLITS)
def test_statistics_do_not_depend_on_the_number_of_processes(done, folder, job, split) -> None:
    one, several = (statistics(folder, f"{job}_{cpus}", split) for cpus in (1, 3))
    assert one == several


@pytest.mark.parametrize("job", ["plain", "weighted"])
def test_statistics_of_several_files_are_those_of_the_same_rows_in_one(done, folder, job) -> None:
    one, several = (statistics(folder, f"{job}_3", split) for split in ("one_file", "files"))
    assert exact(one) == exact(several)


@pytest.mark.parametrize("job", ["plain", "weighted", "sampled"])
def test_statistics_of_one_file_are_those_of_its_batches(done, folder, files, job) -> None:
    arguments = options(job)
    batches = rows.read_batches(files["one_file"], "FORMAT_TF_EXAMPLE")
    rate = arguments.get("sample_rate_by_split", {}).get("one_file", 1.0)
    expected = in_process.statistics_of_batches(
        rows.sampled(batches, rate, "one_file"),
        statistics_options(arguments.get("stats_options_json")),
    )
    assert statistics(folder, f"{job}_3", "one_file") == expected.datasets[0]


def test_distinct_values_of_all_parts_are_counted(done, folder) -> None:
    features = {
        feature.path.step[0]: feature for feature in statistics(folder, "plain_3", "files").features
    }
    assert features["identifier"].string_stats.unique == ROWS


def test_merged_quantiles_are_within_tfdvs_error(done, folder) -> None:
    values = np.sort([row / 3 - 100 for row in range(ROWS) if row % 5])
    features = {
        feature.path.step[0]: feature for feature in statistics(folder, "plain_3", "files").features
    }
    quantiles = features["fare"].num_stats.histograms[1].buckets
    for step, bucket in enumerate(quantiles, start=1):
        rank = np.searchsorted(values, bucket.high_value, "right") / len(values)
        assert abs(rank - step / len(quantiles)) <= 2 * EPSILON


def test_every_part_of_a_split_has_rows_in_its_sample(done, folder) -> None:
    assert 1_050 < statistics(folder, "sampled_3", "files").num_examples < 1_350


@pytest.mark.parametrize("job", ["plain_1", "plain_3"])
def test_progress_ends_at_the_rows_of_all_splits(done, job) -> None:
    assert done[job]["rows"] == [2 * ROWS]


def test_an_error_of_another_process_names_the_file(done, broken) -> None:
    kind, message = done["broken_3"]["error"]
    assert kind == "DataError"
    assert broken in message


def test_files_are_put_together_until_they_are_large(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(in_process, "PART_BYTES", 10)
    paths = [str(tmp_path / name) for name in "abcd"]
    for path, size in zip(paths, (4, 7, 20, 3), strict=True):
        Path(path).write_bytes(bytes(size))
    found = in_process._parts({"train": paths, "eval": paths[:1]})
    assert [(part.split, part.files) for part in found] == [
        ("train", (paths[2],)),
        ("train", tuple(paths[:2])),
        ("eval", (paths[0],)),
        ("train", (paths[3],)),
    ]


def test_slices_are_merged_by_their_names(files, tmp_path, monkeypatch) -> None:
    import tensorflow_data_validation as tfdv
    from google.protobuf import text_format
    from tfx_bsl.public.proto import slicing_spec_pb2

    monkeypatch.setattr(in_process, "PART_BYTES", 1)
    slicing = text_format.Parse(
        "slicing_specs { feature_keys: 'word' }", slicing_spec_pb2.SlicingConfig()
    )
    in_process.generate_statistics(
        {"files": files["files"]},
        str(tmp_path),
        stats_options_json=tfdv.StatsOptions(slicing_config=slicing).to_json(),
    )
    found = read_statistics(str(tmp_path / "Split-files")).datasets
    rows = {dataset.name: dataset.num_examples for dataset in found}
    words = table(0, ROWS).column(0).to_pylist()
    assert rows["All Examples"] == ROWS
    assert rows["word_naïve"] == words.count("naïve")


@pytest.mark.parametrize("memory", [1_000, 150_000, 1 << 30])
def test_counts_are_merged_in_memory_and_in_sketches(monkeypatch, memory) -> None:
    from penstock.components.statistics_gen import value_counts

    monkeypatch.setattr(value_counts, "EXACT_BYTES", memory)
    monkeypatch.setattr(value_counts, "_MERGE_ROWS", 1_000)
    counter = value_counts.ExactValueCounts(statistics_options('{"weight_feature": "weight"}'))
    accumulators = []
    for numbers in (range(100), range(10_000)):
        values = [["often"] if row % 2 else [f"value {row}"] for row in numbers]
        batch = pa.RecordBatch.from_arrays(
            [pa.array(values), pa.array([[2.0]] * len(numbers))], ["value", "weight"]
        )
        accumulators.append(counter.add_input(counter.create_accumulator(), batch))
    (value,) = counter.extract_output(counter.merge_accumulators(accumulators)).features
    texts = value.string_stats
    assert texts.unique == pytest.approx(5_001, rel=0 if memory > 1_000_000 else 0.05)
    assert (texts.top_values[0].value, texts.top_values[0].frequency) == ("often", 5_050)
    assert texts.weighted_string_stats.top_values[0].frequency == 10_100


@pytest.mark.parametrize("part_bytes", [1, in_process.PART_BYTES])
def test_a_feature_of_two_types_in_a_split_is_reported_with_its_files(
    tmp_path, monkeypatch, part_bytes
) -> None:
    monkeypatch.setattr(in_process, "PART_BYTES", part_bytes)
    columns = {"a": pa.array([1, 2]), "b": pa.array([2.5])}
    written = [
        write_serialized(
            str(tmp_path), name, examples.encode(pa.RecordBatch.from_arrays([column], ["x"]))
        )[0]
        for name, column in columns.items()
    ]
    with pytest.raises(DataError, match="feature 'x' has fractions here and integers in ") as error:
        in_process.generate_statistics({"train": written}, str(tmp_path / "statistics"))
    assert error.value.path == written[1]
    assert written[0] in error.value.message


def test_a_file_without_values_of_a_feature_is_of_any_type(tmp_path) -> None:
    columns = {"a": pa.nulls(2), "b": pa.array([2.5])}
    written = [
        write_serialized(
            str(tmp_path), name, examples.encode(pa.RecordBatch.from_arrays([column], ["x"]))
        )[0]
        for name, column in columns.items()
    ]
    in_process.generate_statistics({"train": written}, str(tmp_path / "statistics"))
    statistics = read_statistics(str(tmp_path / "statistics/Split-train"))
    assert statistics.datasets[0].features[0].num_stats.common_stats.num_non_missing == 1
