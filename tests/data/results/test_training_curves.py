from __future__ import annotations

import struct

import pytest

from penstock.data.records import TFRecordWriter
from penstock.data.results.event_proto import event_class
from penstock.data.results.training_curves import Curve, read_curves, write_curve

pytestmark = pytest.mark.core


def event(step: int, tag: str = "epoch_loss"):
    made = event_class()(step=step)
    return made, made.summary.value.add(tag=tag)


def write(folder, *events):
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "events.out.tfevents.1.host"
    with TFRecordWriter(path) as writer:
        for made in events:
            writer.write(made.SerializeToString())
    return path


def test_scalars_of_tensorflow_1_and_2_are_read_by_run(tmp_path):
    old, value = event(1)
    value.simple_value = 0.5
    new, value = event(2)
    value.tensor.dtype = 1
    value.tensor.float_val.append(0.25)
    packed, value = event(3)
    value.tensor.dtype = 1
    value.tensor.tensor_content = struct.pack("<f", 0.125)
    write(tmp_path / "train", new, old, packed)
    assert read_curves(str(tmp_path)) == [
        Curve("epoch_loss", "train", (1, 2, 3), (0.5, 0.25, 0.125))
    ]


def test_texts_and_histograms_are_no_curves(tmp_path):
    text, value = event(1)
    value.tensor.dtype = 7
    value.tensor.tensor_content = b"hello"
    many, value = event(2)
    value.tensor.dtype = 1
    value.tensor.tensor_shape.dim.add(size=2)
    value.tensor.float_val.extend([1, 2])
    write(tmp_path, text, many)
    assert read_curves(str(tmp_path)) == []


@pytest.mark.parametrize("kept", [1, 20, -3])
def test_a_file_that_is_still_written_gives_what_it_has(tmp_path, kept):
    made, value = event(1)
    value.simple_value = 0.5
    path = write(tmp_path, made, made)
    path.write_bytes(path.read_bytes()[:kept])
    assert len(read_curves(str(tmp_path))) in (0, 1)
    assert (read_curves(str(tmp_path)) != []) is (kept < 0)


def test_a_folder_that_is_not_there_has_none(tmp_path):
    assert read_curves(str(tmp_path / "nowhere")) == []


@pytest.mark.needs("tensorboard")
def test_what_tensorboard_writes_is_read(tmp_path):
    from tensorboard.compat.proto import event_pb2

    made = event_pb2.Event(step=7, wall_time=12.5)
    for dtype, field, number in (
        (1, "float_val", 0.5),
        (2, "double_val", 0.25),
        (9, "int64_val", -3),
    ):
        value = made.summary.value.add(tag=field)
        value.metadata.plugin_data.plugin_name = "scalars"
        value.tensor.dtype = dtype
        getattr(value.tensor, field).append(number)
    write(tmp_path, made)
    read = {curve.tag: (curve.steps, curve.values) for curve in read_curves(str(tmp_path))}
    assert read == {
        "float_val": ((7,), (0.5,)),
        "double_val": ((7,), (0.25,)),
        "int64_val": ((7,), (-3,)),
    }


def test_what_is_written_is_read_again_and_a_second_time_replaced(tmp_path):
    write_curve(str(tmp_path / "train"), "log loss", [0.5])
    write_curve(str(tmp_path / "train"), "log loss", [0.5, 0.25])
    assert read_curves(str(tmp_path)) == [Curve("log loss", "train", (1, 2), (0.5, 0.25))]


def test_tensorboard_reads_what_is_written(tmp_path):
    pytest.importorskip("tensorboard", reason="TensorBoard comes with TFX alone")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    write_curve(str(tmp_path), "rmse", [3.0, 2.0])
    accumulator = EventAccumulator(str(tmp_path))
    accumulator.Reload()
    assert [(e.step, e.value) for e in accumulator.Scalars("rmse")] == [(1, 3.0), (2, 2.0)]
