"""What training reads: tfx_bsl's batches, from TFRecord and Parquet files."""

from __future__ import annotations

import shutil

import numpy as np
import pyarrow as pa
import pytest

from penstock.authoring import artifacts
from penstock.errors import DataError, ParameterError

ROWS = 1000

DENSE = """
    tensor_representation { key: "number" value { dense_tensor {
        column_name: "number" shape {} } } }
    tensor_representation { key: "cost" value { dense_tensor {
        column_name: "fare" shape { dim { size: 1 } } default_value { float_value: 0.5 } } } }
    tensor_representation { key: "company" value { dense_tensor {
        column_name: "company" shape { dim { size: 1 } } default_value { bytes_value: "none" } } } }
    tensor_representation { key: "place" value { dense_tensor {
        column_name: "place" shape { dim { size: 2 } } } } }
"""
SPARSE = """
    tensor_representation { key: "tags" value { varlen_sparse_tensor { column_name: "tags" } } }
    tensor_representation { key: "weighed" value { sparse_tensor {
        dense_shape { dim { size: 8 } }
        index_column_names: "positions" value_column_name: "weights" } } }
"""
RAGGED = """
    tensor_representation { key: "stops" value { ragged_tensor {
        feature_path { step: "stops" } row_partition_dtype: INT64 } } }
"""


TYPES = {
    "number": "INT",
    "fare": "FLOAT",
    "company": "BYTES",
    "place": "FLOAT",
    "tags": "BYTES",
    "positions": "INT",
    "weights": "FLOAT",
    "stops": "INT",
}


def schema_of(representations: str):
    from google.protobuf import text_format
    from tensorflow_metadata.proto.v0 import schema_pb2

    features = "".join(
        f"feature {{ name: '{name}' type: {kind} }}\n"
        for name, kind in TYPES.items()
        if f'"{name}"' in representations
    )
    group = f"tensor_representation_group {{ key: '' value {{ {representations} }} }}"
    return text_format.Parse(features + group, schema_pb2.Schema())


def table() -> pa.Table:
    random = np.random.default_rng(7)
    numbers = np.arange(ROWS)
    sizes = random.integers(0, 4, ROWS)
    return pa.table(
        {
            "number": numbers,
            "fare": pa.array(random.random(ROWS, np.float32), mask=numbers % 7 == 0),
            "company": pa.array([f"Łódź {n % 13}" for n in numbers], mask=numbers % 5 == 0),
            "place": pa.array(list(random.random((ROWS, 2), np.float32)), pa.list_(pa.float32())),
            "tags": pa.array([[b"tag"] * size for size in sizes], pa.list_(pa.binary())),
            "positions": pa.array([list(range(size)) for size in sizes], pa.list_(pa.int64())),
            "weights": pa.array([[0.25] * size for size in sizes], pa.list_(pa.float32())),
            "stops": pa.array([list(range(size)) for size in sizes], pa.list_(pa.int64())),
        }
    )


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """Folders of the same examples: in one TFRecord file, in three, and in two of Parquet."""
    import pyarrow.parquet

    from penstock.data.coding import examples
    from penstock.data.records import write_serialized

    folder = tmp_path_factory.mktemp("input")
    rows = table()
    records = [record for batch in rows.to_batches() for record in examples.encode(batch)]
    write_serialized(str(folder / "one"), "data_tfrecord", records)
    write_serialized(str(folder / "three"), "data_tfrecord", records, shards=3)
    (folder / "parquet").mkdir()
    for number, part in enumerate((rows.slice(0, 300), rows.slice(300))):
        pyarrow.parquet.write_table(part, folder / "parquet" / f"data_parquet-{number}.parquet")
    return folder


@pytest.fixture
def batches(written, make_artifact, tmp_path):
    """Read batches by the accessor: of a folder, as a schema says."""
    from tfx_bsl.tfxio.dataset_options import TensorFlowDatasetOptions

    from penstock.components.trainer.data_access import data_accessor

    (tmp_path / "examples").mkdir()
    accessor = data_accessor([make_artifact(artifacts.Examples, tmp_path / "examples", ["train"])])

    def read(folder="one", representations=DENSE, *, batch_size=64, epochs=1, **options):
        settings = TensorFlowDatasetOptions(
            batch_size, num_epochs=epochs, **{"shuffle": False, **options}
        )
        return accessor.tf_dataset_factory(
            [f"{written}/{folder}/*"], settings, schema_of(representations)
        )

    return read


@pytest.fixture
def of_tfx(written):
    """Read batches as tfx_bsl does."""
    from tfx_bsl.tfxio import tf_example_record
    from tfx_bsl.tfxio.dataset_options import TensorFlowDatasetOptions

    def read(folder="one", representations=DENSE, *, batch_size=64, epochs=1, **options):
        source = tf_example_record.TFExampleRecord(
            [f"{written}/{folder}/*"],
            schema=schema_of(representations),
            telemetry_descriptors=["test"],
        )
        settings = TensorFlowDatasetOptions(
            batch_size, num_epochs=epochs, **{"shuffle": False, **options}
        )
        return source.TensorFlowDataset(settings)

    return read


def plain(dataset) -> list:
    """Return batches as lists, with the parts of sparse and ragged tensors."""
    import tensorflow

    return [
        [part.numpy().tolist() for part in tensorflow.nest.flatten(batch, expand_composites=True)]
        for batch in dataset
    ]


def numbers(dataset) -> list[int]:
    return [int(number) for batch in dataset for number in batch["number"]]


KINDS = {"dense": DENSE, "sparse": DENSE + SPARSE, "ragged": DENSE + RAGGED}


@pytest.mark.parametrize("folder", ["one", "parquet"])
@pytest.mark.parametrize("kind", KINDS)
def test_batches_are_those_of_tfx_bsl(batches, of_tfx, folder, kind):
    assert plain(batches(folder, KINDS[kind])) == plain(of_tfx("one", KINDS[kind]))


@pytest.mark.parametrize("folder", ["one", "parquet"])
@pytest.mark.parametrize("kind", KINDS)
def test_types_and_shapes_are_those_of_tfx_bsl(batches, of_tfx, folder, kind):
    expected = of_tfx("one", KINDS[kind]).element_spec
    assert batches(folder, KINDS[kind]).element_spec == expected


@pytest.mark.parametrize(
    ("folder", "kind"),
    [("one", "dense"), ("one", "sparse"), ("one", "ragged"), ("parquet", "dense")],
)
def test_batches_of_endless_rows_have_the_static_size_of_tfx_bsl(batches, of_tfx, folder, kind):
    expected = of_tfx("one", KINDS[kind], epochs=None).element_spec
    assert batches(folder, KINDS[kind], epochs=None).element_spec == expected


@pytest.mark.parametrize("folder", ["one", "parquet"])
@pytest.mark.parametrize("batch_size", [7, 4096])
@pytest.mark.parametrize("drop_final_batch", [False, True])
@pytest.mark.parametrize("kind", ["dense", "ragged"])
def test_batches_have_the_size_that_is_asked_for(
    folder, batch_size, drop_final_batch, kind, batches
):
    data = batches(folder, KINDS[kind], batch_size=batch_size, drop_final_batch=drop_final_batch)
    last = [] if drop_final_batch or not ROWS % batch_size else [ROWS % batch_size]
    sizes = [len(batch["number"]) for batch in data]
    assert sizes == [batch_size] * (ROWS // batch_size) + last


@pytest.mark.parametrize("folder", ["one", "parquet"])
@pytest.mark.parametrize("kind", ["dense", "ragged"])
def test_batches_reach_over_epochs_as_in_tfx_bsl(batches, of_tfx, folder, kind):
    options = {"batch_size": 300, "epochs": 2}
    expected = plain(of_tfx("one", KINDS[kind], **options))
    assert plain(batches(folder, KINDS[kind], **options)) == expected


@pytest.mark.parametrize("folder", ["one", "parquet"])
def test_no_number_of_epochs_means_endless_rows(batches, folder):
    endless = batches(folder, epochs=None).take(2 * ROWS // 64 + 1)
    assert numbers(endless)[: 2 * ROWS] == list(range(ROWS)) * 2


@pytest.mark.parametrize("folder", ["one", "parquet"])
def test_the_label_is_apart(batches, of_tfx, folder):
    expected = plain(of_tfx("one", label_key="cost"))
    assert plain(batches(folder, label_key="cost")) == expected


@pytest.mark.parametrize("folder", ["one", "parquet"])
def test_an_unknown_label_is_an_error(batches, folder):
    with pytest.raises((ValueError, ParameterError), match="coast"):
        batches(folder, label_key="coast")


def test_rows_of_several_files_come_once_an_epoch(batches):
    assert sorted(numbers(batches("three"))) == list(range(ROWS))


def test_the_order_of_several_files_is_always_the_same(batches):
    assert numbers(batches("three")) == numbers(batches("three"))


FOLDERS = ["one", "three", "parquet"]


@pytest.mark.parametrize("folder", FOLDERS)
@pytest.mark.parametrize("buffer", [10, 250, 10_000])
def test_shuffled_rows_come_once_in_each_epoch(batches, folder, buffer):
    rows = numbers(batches(folder, shuffle=True, shuffle_buffer_size=buffer, epochs=2))
    assert sorted(rows[:ROWS]) == list(range(ROWS))
    assert sorted(rows[ROWS:]) == list(range(ROWS))


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_buffer_that_takes_all_rows_lets_them_go_anywhere(batches, folder):
    rows = np.array(numbers(batches(folder, shuffle=True, shuffle_seed=3)))
    # Of a permutation of evenly distributed numbers: a third of the rows on average.
    assert 0.28 * ROWS < np.abs(rows - np.arange(ROWS)).mean() < 0.38 * ROWS


@pytest.mark.parametrize(
    ("buffer", "file_bytes", "rows"),
    [(None, 5_000_000, 1 << 31), (None, 50_000_000, 10_000), (300, 5_000_000, 300)],
)
def test_small_files_are_shuffled_as_a_whole_unless_a_number_is_asked_for(buffer, file_bytes, rows):
    from tfx_bsl.tfxio.dataset_options import TensorFlowDatasetOptions

    from penstock.components.trainer.record_dataset import window_rows

    asked = {} if buffer is None else {"shuffle_buffer_size": buffer}
    assert window_rows(TensorFlowDatasetOptions(1, **asked), file_bytes) == rows


@pytest.mark.parametrize("folder", ["one", "parquet"])
def test_rows_stay_in_their_window(batches, folder):
    options = {"shuffle": True, "shuffle_buffer_size": 100, "shuffle_seed": 5}
    rows = np.array(numbers(batches(folder, **options)))
    windows = rows.reshape(-1, 100)
    assert (np.ptp(windows, axis=1) == 99).all()


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_seed_gives_one_order(batches, folder):
    options = {"shuffle": True, "shuffle_buffer_size": 300, "shuffle_seed": 11, "epochs": 2}
    assert numbers(batches(folder, **options)) == numbers(batches(folder, **options))


@pytest.mark.parametrize("folder", FOLDERS)
def test_another_seed_gives_another_order(batches, folder):
    first, second = (numbers(batches(folder, shuffle=True, shuffle_seed=seed)) for seed in (1, 2))
    assert first != second


@pytest.mark.parametrize("folder", FOLDERS)
def test_each_epoch_has_an_order_of_its_own(batches, folder):
    rows = numbers(batches(folder, shuffle=True, shuffle_seed=1, epochs=2))
    assert rows[:ROWS] != rows[ROWS:]


@pytest.mark.parametrize("folder", FOLDERS)
def test_iterating_again_gives_another_order(batches, folder):
    dataset = batches(folder, shuffle=True, shuffle_seed=1)
    assert numbers(dataset) != numbers(dataset)


@pytest.mark.parametrize("folder", FOLDERS)
def test_without_a_seed_no_order_is_like_another(batches, folder):
    assert numbers(batches(folder, shuffle=True)) != numbers(batches(folder, shuffle=True))


@pytest.mark.parametrize("threads", [1, 20])
def test_any_number_of_reading_threads_gives_all_rows(batches, threads):
    assert sorted(numbers(batches("three", reader_num_threads=threads))) == list(range(ROWS))


@pytest.mark.parametrize("folder", ["one", "parquet"])
def test_shuffled_features_stay_with_their_row(batches, folder):
    expected = dict(zip(range(ROWS), table()["place"].to_pylist(), strict=True))
    for batch in batches(folder, DENSE + RAGGED, shuffle=True):
        places = zip(batch["number"].numpy(), batch["place"].numpy(), strict=True)
        assert all(place.tolist() == expected[number] for number, place in places)


@pytest.mark.parametrize("folder", ["one", "parquet"])
def test_a_missing_value_without_a_default_is_an_error(batches, folder):
    import tensorflow

    required = DENSE.replace("default_value { float_value: 0.5 }", "")
    with pytest.raises(tensorflow.errors.OpError, match="(?i)cost|fare"):
        list(batches(folder, required))


def test_a_keras_model_is_fitted_on_the_batches(batches):
    import keras

    def pair(features, label):
        return features["place"], label

    model = keras.Sequential([keras.layers.Dense(1)])
    model.compile(loss="mse")
    data = batches(label_key="cost", shuffle=True, epochs=None).map(pair)
    history = model.fit(data, epochs=2, steps_per_epoch=ROWS // 64, verbose=0)
    assert len(history.history["loss"]) == 2


def test_parquet_beside_tfrecord_is_not_taken_for_all(batches, written):
    mixed = written / "mixed"
    shutil.copytree(written / "parquet", mixed)
    shutil.copy(next((written / "one").iterdir()), mixed)
    with pytest.raises(DataError, match="expected files of one format to train on, and .* is a "):
        list(batches("mixed"))
