"""Components whose parts are done on a real Spark and a real Ray: they make what forks make."""

from __future__ import annotations

from pathlib import Path

import pytest

from penstock import pipeline
from penstock.components import (
    CsvExampleGen,
    ImportExampleGen,
    ParquetExampleGen,
    SchemaGen,
    StatisticsGen,
    Transform,
)
from penstock.data.payload import PayloadFormat
from penstock.errors import RunError
from penstock_support.asked_on_clusters import digests_of, run

pytestmark = pytest.mark.timeout(600)

ROWS = 300_000


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Files of more than one shard, of the kinds that components read."""
    import numpy as np
    import pyarrow as pa
    from pyarrow import csv, parquet

    numbers = np.random.default_rng(0)
    table = pa.table(
        {
            "id": np.arange(ROWS),
            "amount": numbers.normal(size=ROWS),
            "word": numbers.choice(["one", "two", "three", "four"], ROWS),
            "text": ["x" * (row % 200) for row in range(ROWS)],
        }
    )
    folder = tmp_path_factory.mktemp("data")
    (folder / "csv").mkdir()
    csv.write_csv(table, folder / "csv" / "data.csv")
    (folder / "parquet").mkdir()
    parquet.write_table(table, folder / "parquet" / "data.parquet", row_group_size=50_000)
    return folder


def pipelines(data):
    @pipeline
    def of_csv():
        examples = CsvExampleGen(input_base=str(data / "csv"))
        return StatisticsGen(examples=examples.outputs["examples"])

    @pipeline
    def of_features():
        examples = CsvExampleGen(input_base=str(data / "csv")).outputs["examples"]
        schema = SchemaGen(statistics=StatisticsGen(examples=examples).outputs["statistics"])
        return Transform(
            examples=examples,
            schema=schema.outputs["schema"],
            preprocessing_fn="penstock_support.transformed_on_clusters.preprocessing_fn",
        )

    @pipeline
    def of_parquet():
        parquet = PayloadFormat.FORMAT_PARQUET
        return ParquetExampleGen(input_base=str(data / "parquet"), output_data_format=parquet)

    return of_csv, of_parquet, of_features


def test_examples_and_statistics_are_those_of_forks(cluster, data, tmp_path):
    of_csv, _, _ = pipelines(data)
    ours = run(of_csv, tmp_path / "forks")
    theirs = run(of_csv, tmp_path / "cluster", cluster.options.args)
    for node, key in (("CsvExampleGen", "examples"), ("StatisticsGen", "statistics")):
        assert digests_of(theirs, node, key) == digests_of(ours, node, key)
    assert len(digests_of(ours, "CsvExampleGen", "examples")) > 2


def test_parquet_is_written_as_forks_write_it(cluster, data, tmp_path):
    _, of_parquet, _ = pipelines(data)
    ours = run(of_parquet, tmp_path / "forks")
    theirs = run(of_parquet, tmp_path / "cluster", cluster.options.args)
    assert digests_of(theirs, "ParquetExampleGen", "examples") == digests_of(
        ours, "ParquetExampleGen", "examples"
    )


def test_records_are_written_as_forks_write_them(cluster, data, tmp_path):
    of_csv, _, _ = pipelines(data)
    examples = run(of_csv, tmp_path / "made").output("CsvExampleGen", "examples")

    @pipeline
    def of_records():
        return ImportExampleGen(input_base=str(Path(examples.uri) / "Split-train"))

    ours = run(of_records, tmp_path / "forks")
    theirs = run(of_records, tmp_path / "cluster", cluster.options.args)
    assert digests_of(theirs, "ImportExampleGen", "examples") == digests_of(
        ours, "ImportExampleGen", "examples"
    )


def test_features_vocabularies_and_their_statistics_are_those_of_one_process(
    cluster, data, tmp_path
):
    _, _, of_features = pipelines(data)
    ours = run(of_features, tmp_path / "process")
    theirs = run(of_features, tmp_path / "cluster", cluster.options.args)
    for key in ("transformed_examples", "pre_transform_stats", "post_transform_stats"):
        assert digests_of(theirs, "Transform", key) == digests_of(ours, "Transform", key)
    assets = [
        {
            path: digest
            for path, digest in digests_of(result, "Transform", "transform_graph").items()
            if path.startswith("transform_fn/assets/")
        }
        for result in (ours, theirs)
    ]
    assert assets[0] == assets[1]
    assert len(assets[0]) == 2


def test_a_bad_row_is_told_with_its_file_and_line(cluster, data, tmp_path):
    folder = tmp_path / "bad"
    folder.mkdir()
    text = (data / "csv" / "data.csv").read_text().splitlines()[:1000]
    (folder / "bad.csv").write_text("\n".join([*text, "1,2"]) + "\n")

    @pipeline
    def of_bad_rows():
        return CsvExampleGen(input_base=str(folder))

    with pytest.raises(RunError, match=r"bad\.csv:1001"):
        run(of_bad_rows, tmp_path / "cluster", cluster.options.args)


def test_workers_fetch_remote_files(cluster, data, tmp_path):
    """`local` is a scheme of fsspec's other than `file`, so that its files count as remote."""

    @pipeline(cluster=cluster.options)
    def of_remote_files(base: str = f"local://{data}/parquet"):
        return ParquetExampleGen(input_base=base)

    @pipeline
    def of_files(base: str = f"{data}/parquet"):
        return ParquetExampleGen(input_base=base)

    fetched = run(of_remote_files, tmp_path / "remote")
    here = run(of_files, tmp_path / "here")
    [log] = (tmp_path / "remote").rglob("ParquetExampleGen.log")
    assert "Workers have fetched 1 files." in log.read_text()
    assert digests_of(fetched, "ParquetExampleGen", "examples") == digests_of(
        here, "ParquetExampleGen", "examples"
    )
