import json
import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from penstock import BeamOptions
from penstock.artifacts import Examples
from penstock.authoring.node_context import NodeContext
from penstock.components import CsvExampleGen
from penstock.data import records, splits
from penstock.data.csv import CsvOptions
from penstock.data.ingestion import resolve_parameters
from penstock.data.payload import PayloadFormat
from penstock.data.spans import RangeConfig, RollingRange
from penstock.data.splits import (
    InputConfig,
    InputSplit,
    OutputConfig,
    SplitBuckets,
    SplitConfig,
)
from penstock.errors import DataError, ParameterError

pytestmark = pytest.mark.core

PARQUET = PayloadFormat.FORMAT_PARQUET


@pytest.fixture
def data(tmp_path):
    """A folder with 300 rows of users and amounts."""
    folder = tmp_path / "data"
    folder.mkdir()
    rows = "".join(f"user{index % 20},{index / 2}\n" for index in range(300))
    (folder / "data.csv").write_text("user,amount\n" + rows)
    return folder


@pytest.fixture
def run(data, tmp_path):
    def run_component(*, before_run=lambda: None, **parameters):
        context = parameters.pop("context", NodeContext())
        beam = parameters.pop("beam", BeamOptions())
        examples = Examples()
        examples.uri = str(tmp_path / "examples")
        parameters = {"input_base": str(data), **parameters}
        resolved = resolve_parameters(parameters)
        before_run()
        CsvExampleGen.function(
            examples=examples, **parameters, **resolved, context=context, beam=beam
        )
        return examples

    return run_component


def column(examples, split, name):
    batches = records.read_record_batches(splits.split_files(examples, split))
    return [row for batch in batches for row in batch.to_pydict()[name]]


def by_user():
    config = SplitConfig((SplitBuckets("train", 3), SplitBuckets("eval", 2)), "user")
    return OutputConfig(config)


def test_every_row_is_in_one_split(run):
    examples = run()
    values = [column(examples, split, "amount") for split in ("train", "eval")]
    assert sorted(values[0] + values[1]) == [[index / 2] for index in range(300)]
    assert len(values[0]) > len(values[1]) > 50


def test_what_workers_that_died_have_left_is_no_part_of_the_examples(run, tmp_path):
    left = tmp_path / "examples" / ".being-written-before"
    left.mkdir(parents=True)
    (left / "shard").write_bytes(b"half of it")
    examples = run()
    assert sorted(path.name for path in Path(examples.uri).iterdir()) == [
        "Split-eval",
        "Split-train",
    ]


def test_rows_are_partitioned_by_a_feature(run):
    examples = run(output_config=by_user())
    train, evaluation = (
        {row[0] for row in column(examples, split, "user")} for split in ("train", "eval")
    )
    assert train
    assert evaluation
    assert not train & evaluation


def test_numbers_with_a_fraction_cannot_partition(run):
    config = OutputConfig(SplitConfig((SplitBuckets("a", 1),), "amount"))
    with pytest.raises(DataError, match=r"expected bytes or integers in 'amount'.*a float_list"):
        run(output_config=config)


def test_an_unknown_partition_feature_is_reported(run):
    config = OutputConfig(SplitConfig((SplitBuckets("a", 1),), "usr"))
    with pytest.raises(DataError, match="no feature 'usr'"):
        run(output_config=config)


def test_parquet_holds_the_same_rows_in_the_same_splits(run):
    expected = {split: column(run(), split, "amount") for split in ("train", "eval")}
    shutil.rmtree(run().uri)
    examples = run(output_data_format=PARQUET)
    assert {split: column(examples, split, "amount") for split in expected} == expected
    assert examples.get_string_custom_property("file_format") == "parquet"
    (path,) = splits.split_files(examples, "train")
    assert path.endswith("Split-train/data_parquet-00000-of-00001.parquet")
    assert set(pq.read_schema(path).names) == {"user", "amount"}


@pytest.mark.needs("apache_beam")
def test_parquet_on_beam_is_refused(run):
    with pytest.raises(ParameterError, match="FORMAT_PARQUET in process only"):
        run(output_data_format=PARQUET, beam=BeamOptions(("--runner=DirectRunner",)))


def test_an_output_format_that_is_no_table_is_refused(run):
    with pytest.raises(ParameterError, match="cannot write FORMAT_PROTO"):
        run(output_data_format=PayloadFormat.FORMAT_PROTO)


def test_missing_cells_are_empty_lists_or_absent(run, data):
    (data / "data.csv").write_text("a,b\n1,\n,2\n")
    config = OutputConfig(SplitConfig((SplitBuckets("all", 1),)))
    assert column(run(output_config=config), "all", "a") == [[1], []]
    options = CsvOptions(missing_cells="absent")
    assert column(run(output_config=config, csv=options), "all", "a") == [[1], None]


def test_spans_of_a_window_are_read_together(run, data):
    for span in (1, 2, 3):
        (data / f"span-{span}").mkdir()
        (data / f"span-{span}" / "data.csv").write_text(f"x\n{span}\n")
    examples = run(
        input_config=InputConfig((InputSplit("all", "span-{SPAN}/*"),)),
        output_config=OutputConfig(SplitConfig((SplitBuckets("all", 1),))),
        range_config=RangeConfig(rolling_range=RollingRange(num_spans=2)),
    )
    assert column(examples, "all", "x") == [[2], [3]]
    assert examples.span == 3
    assert examples.get_int_custom_property("span") == 3


def test_a_span_that_arrives_after_the_resolution_is_not_read(run, data):
    (data / "1.csv").write_text("x\n1\n")
    config = InputConfig((InputSplit("all", "{SPAN}.csv"),))

    def arrive():
        (data / "2.csv").write_text("x\n2\n")

    (data / "data.csv").unlink()
    examples = run(
        input_config=config,
        output_config=OutputConfig(SplitConfig((SplitBuckets("all", 1),))),
        before_run=arrive,
    )
    assert column(examples, "all", "x") == [[1]]


def test_the_artifact_says_what_it_is(run, data):
    (data / "data.csv").rename(data / "s7v3.csv")
    examples = run(input_config=InputConfig((InputSplit("all", "s{SPAN}v{VERSION}.csv"),)))
    assert json.loads(examples.split_names) == ["train", "eval"]
    assert (examples.span, examples.version) == (7, 3)
    assert examples.get_int_custom_property("version") == 3
    assert examples.get_string_custom_property("payload_format") == "FORMAT_TF_EXAMPLE"
    assert examples.get_string_custom_property("file_format") == "tfrecords_gzip"
    assert examples.get_string_custom_property("input_fingerprint").startswith("files:1,bytes:")


def test_rows_are_reported(run):
    told = []
    run(context=NodeContext(progress=lambda **counts: told.append(counts)))
    assert told[-1] == {"rows": 300}


def test_the_fingerprint_follows_the_content(data):
    before = resolve_parameters({"input_base": str(data)})
    (data / "data.csv").touch()
    assert resolve_parameters({"input_base": str(data)}) == before
    (data / "data.csv").write_text("user,amount\na,1\n")
    assert resolve_parameters({"input_base": str(data)}) != before


@pytest.mark.needs("tfx.components")
def test_tfx_messages_are_taken(data):
    from tfx.proto import example_gen_pb2, range_config_pb2

    node = CsvExampleGen(
        input_base=str(data),
        input_config=example_gen_pb2.Input(
            splits=[example_gen_pb2.Input.Split(name="s", pattern="{SPAN}/*")]
        ),
        range_config=range_config_pb2.RangeConfig(
            static_range=range_config_pb2.StaticRange(start_span_number=1, end_span_number=2)
        ),
    )
    config = json.loads(node.exec_properties["range_config"])
    assert config["static_range"] == {"start_span_number": 1, "end_span_number": 2}
    assert list(node.outputs) == ["examples"]
