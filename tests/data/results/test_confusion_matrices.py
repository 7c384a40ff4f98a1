"""Which confusion matrices stand for a model."""

from __future__ import annotations

from typing import Any

import pytest

from penstock.data.records import TFRecordWriter
from penstock.data.results import evaluation
from penstock.data.results import evaluation_messages as messages

pytestmark = pytest.mark.core


@pytest.fixture
def matrices(tmp_path):
    """Return the true positives that are found in an evaluation of plots with these keys."""

    def found(*keys: dict[str, Any]) -> list[float]:
        record = messages.PlotsForSlice()
        for positives, key in enumerate(keys, start=1):
            pair = record.plot_keys_and_values.add()
            pair.key.model_name = key.get("model", "")
            pair.key.output_name = key.get("output", "")
            if "class_id" in key:
                pair.key.sub_key.class_id.value = key["class_id"]
            matrix = pair.value.confusion_matrix_at_thresholds.matrices.add(threshold=0.5)
            matrix.true_positives = positives
        for what, records in {"plots": [record.SerializeToString()], "metrics": []}.items():
            with TFRecordWriter(str(tmp_path / f"{what}.tfrecord")) as writer:
                writer.write_many(records)
        return [one.true_positives for one in evaluation.confusion_matrices(str(tmp_path))]

    return found


def test_those_of_the_baseline_are_not_the_models(matrices):
    assert matrices({"model": "baseline"}, {"model": "candidate"}) == [2]


def test_those_of_one_class_alone_are_the_models(matrices):
    assert matrices({"class_id": 1}) == [1]


def test_those_of_the_first_of_several_classes_are_not_the_models(matrices):
    assert matrices({"class_id": 0}, {"class_id": 1}) == []


def test_those_of_the_first_of_several_outputs_are_not_the_models(matrices):
    assert matrices({"output": "clicks"}, {"output": "sales"}) == []


def test_there_may_be_none(matrices):
    assert matrices() == []
