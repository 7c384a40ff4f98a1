"""What has become of the files of results is told, whatever it is."""

from __future__ import annotations

import contextlib
from datetime import datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.authoring.artifacts import ModelEvaluation
from penstock.data.records import frame_records
from penstock.data.results import evaluation, statistics
from penstock.data.results import evaluation_messages as messages
from penstock.data.results.training_curves import read_curves
from penstock.errors import DataError
from penstock.metadata.reading import ArtifactRecord
from penstock.report.evaluations import read_evaluation

READERS = {
    "metrics": (evaluation.summarize, evaluation.confusion_matrices),
    "plots": (evaluation.confusion_matrices,),
    "validations": (evaluation.read_validation, evaluation.validation_failures),
}

CONTENTS = st.one_of(st.binary(max_size=60), st.lists(st.binary(max_size=60)).map(frame_records))


def metrics_record() -> bytes:
    message = messages.MetricsForSlice()
    pair = message.metric_keys_and_values.add()
    pair.key.name = "accuracy"
    pair.value.double_value.value = 0.5
    return message.SerializeToString()


def evaluated(folder, what: str, content: bytes) -> str:
    for name in READERS:
        (folder / f"{name}-00000-of-00001.tfrecord").write_bytes(
            content if name == what else frame_records([metrics_record()])
        )
    return str(folder)


@pytest.mark.parametrize("what", READERS)
def test_a_record_that_is_no_message_is_told_with_its_file(tmp_path, what):
    uri = evaluated(tmp_path, what, frame_records([b"\x0a\xff"]))
    for read in READERS[what]:
        with pytest.raises(DataError) as told:
            read(uri)
        assert "record 0 should be a binary " in str(told.value)
        assert f"{what}-00000-of-00001.tfrecord" in str(told.value)


def test_validations_without_a_record_are_told(tmp_path):
    with pytest.raises(DataError, match="the validations of this evaluation are empty"):
        evaluation.read_validation(evaluated(tmp_path, "validations", b""))


@pytest.mark.parametrize("what", READERS)
@settings(max_examples=60, deadline=None)
@given(content=CONTENTS)
def test_whatever_an_evaluation_s_files_hold_is_read_or_told(tmp_path_factory, what, content):
    uri = evaluated(tmp_path_factory.mktemp("evaluation"), what, content)
    for read in READERS[what]:
        with contextlib.suppress(DataError):
            read(uri)


@settings(max_examples=60, deadline=None)
@given(content=CONTENTS)
def test_a_report_has_a_place_for_an_evaluation_that_is_damaged(tmp_path_factory, content):
    uri = evaluated(tmp_path_factory.mktemp("evaluation"), "metrics", content)
    record = ArtifactRecord(1, ModelEvaluation.TYPE_NAME, uri, "live", datetime.now())
    assert read_evaluation("Evaluator", record).node_id == "Evaluator"


@settings(max_examples=60, deadline=None)
@given(content=st.binary(max_size=60))
def test_whatever_the_statistics_of_a_split_hold_is_read_or_told(tmp_path_factory, content):
    folder = tmp_path_factory.mktemp("statistics")
    (folder / statistics.FILE_NAME).write_bytes(content)
    with contextlib.suppress(DataError):
        statistics.read_statistics(str(folder))


@settings(max_examples=60, deadline=None)
@given(content=CONTENTS)
def test_whatever_the_logs_of_a_training_hold_is_read_or_told(tmp_path_factory, content):
    folder = tmp_path_factory.mktemp("logs")
    (folder / "events.out.tfevents.1.host").write_bytes(content)
    with contextlib.suppress(DataError):
        read_curves(str(folder))
