"""tf.SequenceExamples are transformed with the schema that SchemaGen makes of them."""

from __future__ import annotations

from typing import Any

import pytest

from penstock.authoring.beam import BeamOptions
from penstock.components.schema_gen.in_process import infer_schema
from penstock.components.statistics_gen.in_process import generate_statistics
from penstock.components.transform.job import SEQUENCE_EXAMPLES, Job
from penstock.data.coding.example_proto import sequence_example_class
from penstock.data.records import read_record_batches, record_files, write_serialized

ROWS = 9


def sentence(number: int) -> bytes:
    message = sequence_example_class()()
    message.context.feature["id"].int64_list.value.append(number)
    for word in range(number % 3 + 1):
        step = message.feature_lists.feature_list["word"].feature.add()
        step.bytes_list.value.append(b"w%d" % word)
    return bytes(message.SerializeToString())


def preprocessing_fn(inputs: dict[str, Any]) -> dict[str, Any]:
    import tensorflow as tf
    import tensorflow_transform as tft

    words = inputs["##SEQUENCE##.word"]
    return {
        "centered": tf.cast(inputs["id"], tf.float32) - tft.mean(inputs["id"]),
        "words": tf.reshape(words.row_lengths(), [-1, 1]),
    }


@pytest.mark.parametrize("engine", ["in_process", "on_beam"])
def test_an_inferred_schema_is_enough(tmp_path, engine) -> None:
    import importlib

    files = write_serialized(
        str(tmp_path / "examples/Split-train"), "data", [sentence(row) for row in range(ROWS)]
    )
    generate_statistics(
        {"train": files}, str(tmp_path / "statistics"), payload_format=SEQUENCE_EXAMPLES
    )
    of_train = {"train": files}
    job = Job(
        preprocessing_fn,
        infer_schema({"train": str(tmp_path / "statistics/Split-train")}),
        of_train,
        of_train,
        of_train,
        graph_directory=str(tmp_path / "graph"),
        examples_directory=str(tmp_path / "transformed"),
        payload_format=SEQUENCE_EXAMPLES,
    )
    module = importlib.import_module(f"penstock.components.transform.{engine}")
    module.transform(job, BeamOptions())
    written = record_files(str(tmp_path / "transformed/Split-train"))
    rows = [row for batch in read_record_batches(written) for row in batch.to_pylist()]
    assert sorted((row["centered"][0], row["words"][0]) for row in rows) == [
        (number - (ROWS - 1) / 2, number % 3 + 1) for number in range(ROWS)
    ]
