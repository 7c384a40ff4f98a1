"""Scalars of training in TensorBoard's files, read and written without TensorFlow.

The files are TFRecords of TensorBoard's `Event`: a scalar is a tensor of one number, or the
`simple_value` of TensorFlow 1.
"""

from __future__ import annotations

import os
import re
import struct
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from penstock.data.results.event_proto import event_class
from penstock.errors import DataError

# By the numbers of TensorFlow's DataType: how a little-endian number is packed, and its field.
_TYPES = {
    1: ("<f", "float_val"),
    2: ("<d", "double_val"),
    3: ("<i", "int_val"),
    9: ("<q", "int64_val"),
}


@dataclass(frozen=True)
class Curve:
    """A scalar over training; `run` is the folder below the log's, as "train" or "validation"."""

    tag: str
    run: str
    steps: tuple[int, ...]
    values: tuple[float, ...]


def read_curves(directory: str) -> list[Curve]:
    """Return the scalars below a folder of TensorBoard logs, by tag and run.

    A file that is still written, or was cut off, gives what it has.
    """
    points: dict[tuple[str, str], dict[int, float]] = {}
    for path in sorted(Path(directory).rglob("*tfevents*")):
        run = os.path.relpath(path.parent, directory)
        run = "" if run == "." else run
        for tag, step, value in read_scalars(str(path)):
            points.setdefault((tag, run), {})[step] = value
    return [
        Curve(tag, run, tuple(sorted(values)), tuple(values[step] for step in sorted(values)))
        for (tag, run), values in sorted(points.items())
    ]


def read_scalars(path: str) -> Iterator[tuple[str, int, float]]:
    """Yield tag, step and value of each scalar in a file, up to where it may be cut off."""
    from google.protobuf.message import DecodeError

    from penstock.data.records import read_serialized

    try:
        for record in read_serialized(path):
            event = event_class().FromString(record)
            for value in event.summary.value:
                number = _number(value)
                if number is not None:
                    yield value.tag, int(event.step), number
    except (DataError, DecodeError):
        return


def write_curve(directory: str, measure: str, values: Sequence[float]) -> None:
    """Write a value for each round, from the first, as a file of TensorBoard's in a folder.

    What was written of the measure before is replaced.
    """
    from penstock.data.records import TFRecordWriter

    os.makedirs(directory, exist_ok=True)
    name = re.sub(r"[^\w.-]", "_", measure)
    event = event_class()
    now = time.time()
    with TFRecordWriter(os.path.join(directory, f"events.out.tfevents.{name}")) as writer:
        writer.write(event(wall_time=now, file_version="brain.Event:2").SerializeToString())
        for step, value in enumerate(values, 1):
            written = event(wall_time=now, step=step)
            written.summary.value.add(tag=measure, simple_value=float(value))
            writer.write(written.SerializeToString())


def _number(value: Any) -> float | None:
    kind = value.WhichOneof("value")
    if kind == "simple_value":
        return float(value.simple_value)
    if kind != "tensor" or value.tensor.dtype not in _TYPES:
        return None
    tensor = value.tensor
    if any(dimension.size != 1 for dimension in tensor.tensor_shape.dim):
        return None
    packing, field = _TYPES[tensor.dtype]
    if len(tensor.tensor_content) == struct.calcsize(packing):
        return float(struct.unpack(packing, tensor.tensor_content)[0])
    numbers = getattr(tensor, field)
    return float(numbers[0]) if len(numbers) == 1 else None
