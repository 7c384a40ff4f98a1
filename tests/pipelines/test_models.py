"""Preprocessing, models and their signatures, on a few hundred rows of the real data."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest

from penstock.authoring.beam import BeamOptions
from penstock.components.merge_tables.in_process import merge
from penstock.components.transform.job import Job
from penstock.data.coding.examples import encode
from penstock.data.records import write_serialized
from penstock.pipelines.flights import merged_table
from penstock.pipelines.flights.package_data import export_tables
from penstock.pipelines.penguins.data import write_data
from penstock.schemas import schema_file

ROWS = 600


def flights_table(folder: Path) -> pa.Table:
    """Return rows from all over January."""
    (folder / "tables").mkdir()
    (folder / "merged").mkdir()
    export_tables(str(folder / "tables"))
    merge(
        str(folder / "tables"),
        str(folder / "merged"),
        base=merged_table.FLIGHTS,
        joins=merged_table.JOINS,
        derived=merged_table.DERIVED,
        columns=merged_table.COLUMNS,
        span_column="month",
        last_span=1,
    )
    january = pyarrow.parquet.read_table(folder / "merged" / "span-01" / "data.parquet")
    return january.take(np.linspace(0, january.num_rows - 1, ROWS).astype(int))


def penguins_table(folder: Path) -> pa.Table:
    write_data(str(folder))
    convert = pyarrow.csv.ConvertOptions(null_values=[""], strings_can_be_null=True)
    return pyarrow.csv.read_csv(folder / "penguins.csv", convert_options=convert)


class Trained:
    """A model trained by a pipeline's own code, on rows that it was given as a table."""

    def __init__(self, name: str, table: pa.Table, folder: Path, steps: int) -> None:
        import importlib

        import tensorflow as tf

        self.records = encode(table.combine_chunks().to_batches()[0])
        code = f"penstock.pipelines.{name}"
        self.module = importlib.import_module(f"{code}.model")
        preprocessing = importlib.import_module(f"{code}.preprocessing")
        self.transformed = self._transform(name, preprocessing.preprocessing_fn, folder)
        fn_args = SimpleNamespace(
            transform_output=str(folder / "graph"),
            train_files=["train"],
            eval_files=["eval"],
            data_accessor=SimpleNamespace(tf_dataset_factory=self._dataset),
            train_steps=steps,
            eval_steps=None,
            model_run_dir=str(folder / "run"),
            serving_model_dir=str(folder / "model"),
        )
        self.module.run_fn(fn_args)
        self.signatures = tf.saved_model.load(str(folder / "model")).signatures

    def _transform(self, name: str, preprocessing_fn: Any, folder: Path) -> dict[str, Any]:
        import tensorflow as tf
        import tensorflow_transform as tft
        from google.protobuf import text_format
        from tensorflow_metadata.proto.v0 import schema_pb2

        schema = text_format.Parse(Path(schema_file(name)).read_text(), schema_pb2.Schema())
        analyze(self.records, schema, preprocessing_fn, folder)
        graph = tft.TFTransformOutput(str(folder / "graph"))
        parsed = tf.io.parse_example(self.records, graph.raw_feature_spec())
        return graph.transform_features_layer()(parsed)

    def _dataset(self, files: list[str], options: Any, schema: Any) -> Any:
        import tensorflow as tf

        features = dict(self.transformed)
        label = features.pop(options.label_key)
        batches = tf.data.Dataset.from_tensor_slices((features, label)).batch(options.batch_size)
        return batches.repeat(options.num_epochs)

    def __call__(self, signature: str, records: Any = None) -> dict[str, np.ndarray]:
        import tensorflow as tf

        given = tf.constant(self.records if records is None else records)
        returned = self.signatures[signature](examples=given)
        return {name: value.numpy() for name, value in returned.items()}


def analyze(records: list[bytes], schema: Any, preprocessing_fn: Any, folder: Path) -> None:
    from penstock.components.transform import in_process

    job = Job(
        preprocessing_fn=preprocessing_fn,
        schema=schema,
        analyze_files={"all": write_serialized(str(folder / "rows"), "examples", iter(records))},
        pre_statistics_files={},
        transform_files={},
        graph_directory=str(folder / "graph"),
    )
    in_process.transform(job, BeamOptions())


@pytest.fixture(scope="module")
def flights(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    folder = tmp_path_factory.mktemp("flights")
    return Trained("flights", flights_table(folder), folder, steps=200)


@pytest.fixture(scope="module")
def penguins(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    folder = tmp_path_factory.mktemp("penguins")
    return Trained("penguins", penguins_table(folder), folder, steps=150)


def test_every_feature_that_the_model_reads_is_made_once_a_flight(flights: Trained):
    from penstock.pipelines.flights import features as f

    expected = {*map(f.transformed, (*f.EMBEDDED, *f.NUMBERS)), f.LABEL}
    assert set(flights.transformed) == expected
    assert {tuple(value.shape) for value in flights.transformed.values()} == {(ROWS,)}


def test_no_transformed_number_is_missing_or_infinite(flights: Trained):
    for name, value in flights.transformed.items():
        assert np.isfinite(value.numpy()).all(), name


def test_categories_stay_below_their_count(flights: Trained):
    from penstock.pipelines.flights import features as f

    for name, count in {**f.CATEGORIES, **f.BUCKETS}.items():
        values = flights.transformed[f.transformed(name)].numpy()
        assert 0 <= values.min() <= values.max() < count


def test_the_scheduled_duration_passes_midnight(flights: Trained):
    import tensorflow as tf

    from penstock.pipelines.flights.preprocessing import scheduled_hours

    clocks = {"sched_dep_time": tf.constant([2330, 1000]), "sched_arr_time": [15, 1130]}
    hours = scheduled_hours(clocks).numpy()
    assert hours[1] - hours[0] == pytest.approx(0.75)


def test_the_served_flights_model_gives_probabilities(flights: Trained):
    outputs = flights("serving_default")["outputs"]
    assert outputs.shape == (ROWS, 1)
    assert 0 <= outputs.min() < 0.5 < outputs.max() <= 1


def test_the_served_flights_model_learned_from_the_delay(flights: Trained):
    from penstock.pipelines.flights.baselines import area_under_roc

    labels = flights("transform_features")["arrives_late"]
    assert area_under_roc(labels, flights("serving_default")["outputs"].ravel()) > 0.85


def test_a_flight_of_an_unknown_plane_carrier_and_weather_is_served(flights: Trained):
    known = {
        "year": 2014,
        "hour": 8,
        "weekday": 3,
        "month": 2,
        "day": 5,
        "flight": 1,
        "sched_dep_time": 800,
        "sched_arr_time": 1000,
        "dep_delay": 90,
        "distance": 700,
        "carrier": "ZZ",
        "origin": "JFK",
        "dest": "XXX",
        "tailnum": "N1",
    }
    record = encode(pa.RecordBatch.from_pydict({k: [v] for k, v in known.items()}))
    assert flights("serving_default", record)["outputs"][0, 0] > 0.5


def test_the_served_penguins_model_tells_the_species(penguins: Trained):
    probabilities = penguins("serving_default")["outputs"]
    labels = penguins("transform_features")["species_xf"].ravel()
    assert np.allclose(probabilities.sum(axis=1), 1, atol=1e-5)
    assert (probabilities.argmax(axis=1) == labels).mean() > 0.95


def test_penguins_are_classified_by_name(penguins: Trained):
    record = {
        "bill_length_mm": 39.1,
        "bill_depth_mm": 18.7,
        "flipper_length_mm": 181,
        "body_mass_g": 3750,
        "island": "Torgersen",
        "year": 2007,
    }
    adelie = encode(pa.RecordBatch.from_pydict({k: [v] for k, v in record.items()}))
    assert penguins("classify", adelie)["species"][0] == b"Adelie"
