from __future__ import annotations

import struct

import pytest
from tensorboard.compat.proto import event_pb2

from penstock.data.records import TFRecordWriter
from penstock.data.results.training_curves import Curve, read_curves


def event(step: int, tag: str = "epoch_loss"):
    made = event_pb2.Event(step=step)
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
    value.tensor.string_val.append(b"hello")
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
