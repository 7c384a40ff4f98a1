"""CsvExampleGen against TFX's executor and against Beam, on TFX's own test data."""

import importlib.util
import json

import pytest

from penstock import BeamOptions
from penstock.artifacts import Examples
from penstock.components import CsvExampleGen
from penstock.data import records
from penstock.data.ingestion import resolve_parameters
from penstock.data.payload import PayloadFormat, canonical_and_key
from penstock.data.splits import InputConfig, InputSplit, split_directory

BEAM = BeamOptions(("--runner=DirectRunner",))
SPLITS = ("train", "eval")


def external(name):
    package = importlib.util.find_spec("tfx").submodule_search_locations[0]
    return f"{package}/components/testdata/external/{name}"


def canonical_records(uri, split):
    """Serialized tf.Examples of a split, in one order and one writing."""
    files = records.record_files(split_directory(uri, split))
    return sorted(
        canonical_and_key(record, PayloadFormat.FORMAT_TF_EXAMPLE, None)[0]
        for record in records.read_serialized(files)
    )


def run(folder, input_base, **parameters):
    examples = Examples()
    examples.uri = str(folder)
    resolved = resolve_parameters({"input_base": input_base, **parameters})
    CsvExampleGen.function(examples=examples, input_base=input_base, **parameters, **resolved)
    return examples


@pytest.fixture(scope="module")
def small_taxi(tmp_path_factory):
    """The first 400 rows of each of TFX's two taxi files; the second has other companies."""
    folder = tmp_path_factory.mktemp("taxi")
    for name in ("data.csv", "data2.csv"):
        with open(f"{external('csv')}/{name}") as file:
            (folder / name).write_text("".join(file.readlines()[:401]))
    return str(folder)


@pytest.fixture(scope="module")
def by_tfx(tmp_path_factory, small_taxi):
    """What TFX's executor writes for the taxi rows and for its multi-line file."""
    from tfx.components.example_gen import utils
    from tfx.components.example_gen.csv_example_gen.executor import Executor
    from tfx.types import standard_artifacts
    from tfx.utils.proto_utils import proto_to_json

    written = {}
    for input_base in (small_taxi, external("csv_multi_line_string"), external("csv_empty")):
        examples = standard_artifacts.Examples()
        examples.uri = str(tmp_path_factory.mktemp("tfx"))
        input_config = utils.make_default_input_config()
        Executor().Do(
            {},
            {"examples": [examples]},
            {
                "input_base": input_base,
                "input_config": proto_to_json(input_config),
                "output_config": proto_to_json(utils.make_default_output_config(input_config)),
                "output_data_format": 6,
                "output_file_format": 5,
            },
        )
        written[input_base] = examples
    return written


@pytest.mark.parametrize("split", SPLITS)
def test_taxi_records_of_each_split_are_those_of_tfx(by_tfx, small_taxi, tmp_path, split):
    ours = run(tmp_path, small_taxi)
    expected = canonical_records(by_tfx[small_taxi].uri, split)
    assert len(expected) > 200
    assert canonical_records(ours.uri, split) == expected


@pytest.mark.parametrize("name", ["csv_multi_line_string", "csv_empty"])
def test_multi_line_cells_and_columns_without_values_are_those_of_tfx(by_tfx, tmp_path, name):
    ours = run(tmp_path, external(name))
    for split in SPLITS:
        expected = canonical_records(by_tfx[external(name)].uri, split)
        assert canonical_records(ours.uri, split) == expected


def test_formats_and_split_names_on_the_artifact_are_those_of_tfx(by_tfx, small_taxi, tmp_path):
    ours, theirs = run(tmp_path, small_taxi), by_tfx[small_taxi]
    assert ours.split_names == theirs.split_names
    for key in ("payload_format", "file_format"):
        assert ours.get_string_custom_property(key) == theirs.get_string_custom_property(key)


def test_beam_writes_the_same_records_to_the_same_splits(small_taxi, tmp_path):
    ours = run(tmp_path / "in_process", small_taxi)
    on_beam = run(tmp_path / "on_beam", small_taxi, beam=BEAM)
    for split in SPLITS:
        assert canonical_records(on_beam.uri, split) == canonical_records(ours.uri, split)


def test_beam_keeps_input_splits_and_gives_a_column_one_type_in_all(tmp_path):
    base = tmp_path / "data"
    base.mkdir()
    (base / "a.csv").write_text("x,y\n1,2\n2,3\n")
    (base / "b.csv").write_text("y\n2.5\n")
    config = InputConfig((InputSplit("a", "a.csv"), InputSplit("b", "b.csv")))
    ours = run(tmp_path / "in_process", str(base), input_config=config)
    on_beam = run(tmp_path / "on_beam", str(base), input_config=config, beam=BEAM)
    assert json.loads(on_beam.split_names) == ["a", "b"]
    for split in ("a", "b"):
        assert canonical_records(on_beam.uri, split) == canonical_records(ours.uri, split)
    first = next(records.read_record_batches(records.record_files(f"{ours.uri}/Split-a")))
    assert first.column(first.schema.names.index("y")).to_pylist() == [[2.0], [3.0]]
