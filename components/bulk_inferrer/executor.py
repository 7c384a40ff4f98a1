"""All rows of examples by one model, some at a time.

Each file that is written is a part of the work. What the parts are depends on the files that are
read alone, so that what is written does not depend on who does them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from penstock.artifacts import Examples, InferenceResult, Model, ModelBlessing
from penstock.components.bulk_inferrer.inference import AskedModel, inference_of
from penstock.components.bulk_inferrer.specs import DataSpec, ModelSpec, OutputExampleSpec
from penstock.components.bulk_inferrer.writing import prediction_logs, with_columns
from penstock.components.pusher.executor import is_blessed
from penstock.data import parquet
from penstock.data.coding.examples import encode
from penstock.data.data_files import is_parquet, shard_name
from penstock.data.files.appearing import appearing, clear
from penstock.data.parallel.choosing import workers_with_models
from penstock.data.parallel.rows_done import RowsDone
from penstock.data.records import TFRecordWriter, read_serialized_batches, rebatch
from penstock.data.splits import encode_split_names, split_directory, split_files, split_names
from penstock.errors import DataError, ParameterError, suggestion
from penstock.project.clusters import Cluster

BATCH_ROWS = 1000

# Of a larger file the rows are for several parts, at the most so many.
PART_BYTES = 32 << 20
_MOST_PIECES = 16

LOGS_PREFIX = "prediction_logs"
EXAMPLES_PREFIX = "examples"

Progress = Callable[..., None]


def infer(
    *,
    examples: Sequence[Examples],
    model: Model,
    inference_result: InferenceResult | None,
    output_examples: Examples | None,
    model_blessing: ModelBlessing | None,
    data: DataSpec,
    asked: ModelSpec,
    columns: OutputExampleSpec | None,
    progress: Progress,
    cluster: Cluster | None = None,
) -> None:
    """Predict for the rows, and write what came of it into the output that is there.

    Where there is a `cluster`, its workers do that.
    """
    splits = _splits(examples, data)
    if model_blessing is not None and not is_blessed(model_blessing):
        print(f"Nothing is predicted: the model {model.uri} is not blessed.")
        if output_examples is not None:
            output_examples.split_names = encode_split_names([])
        return
    parts: list[_Part] = []
    if output_examples is not None and columns is not None:
        _check(columns)
        for split, files in splits.items():
            folder = split_directory(output_examples.uri, split)
            parts += _parts(files, folder, EXAMPLES_PREFIX)
        output_examples.split_names = encode_split_names(sorted(splits))
    if inference_result is not None:
        columns = None
        every = [file for files in splits.values() for file in files]
        parts += _parts(every, inference_result.uri, LOGS_PREFIX)
    work = partial(_predict, AskedModel.of(model, asked), columns)
    rows = _ask(work, parts, cluster, progress)
    print(f"Predicted for {rows} rows of {', '.join(splits)}.")


@dataclass(frozen=True)
class _Part:
    """The rows of a file, or of every `pieces`-th batch of it, and the file that they become."""

    file: str
    piece: int
    pieces: int
    path: str

    def described(self) -> str:
        """Return what a worker does with it."""
        piece = f"piece {self.piece + 1} of {self.pieces} of " if self.pieces > 1 else ""
        return f"predict for {piece}{self.file}"


def _parts(files: Sequence[str], folder: str, prefix: str) -> list[_Part]:
    os.makedirs(folder, exist_ok=True)
    pieces = [
        (file, piece, count)
        for file in files
        for count in [min(_MOST_PIECES, 1 + os.path.getsize(file) // PART_BYTES)]
        for piece in range(count)
    ]
    return [
        _Part(*piece, os.path.join(folder, shard_name(prefix, shard, len(pieces))))
        for shard, piece in enumerate(pieces)
    ]


def _ask(
    work: Callable[[_Part, Callable[[int], None]], None],
    parts: Sequence[_Part],
    cluster: Cluster | None,
    progress: Progress,
) -> int:
    """Do all parts, and return how many rows they had."""
    done = RowsDone(progress)
    size = sum(map(os.path.getsize, {part.file for part in parts}))
    try:
        with workers_with_models(cluster, size) as workers:
            for _ in workers.map(work, parts, named=_Part.described, advance=done.add):
                pass
    finally:
        inference_of.cache_clear()  # at its own end TensorFlow cannot let go of a model
    for folder in {os.path.dirname(part.path) for part in parts}:
        clear(folder)
    return done.rows


def _predict(
    model: AskedModel,
    columns: OutputExampleSpec | None,
    part: _Part,
    advance: Callable[[int], None],
) -> None:
    inference = inference_of(model)
    with appearing(part.path) as aside, TFRecordWriter(aside) as writer:
        for number, (first, records) in enumerate(_records(part.file)):
            if number % part.pieces != part.piece:
                continue
            answers = inference.ask(records, part.file, first)
            if columns is None:
                written = prediction_logs(inference, records, answers)
            else:
                written = with_columns(columns, records, answers, part.file, first)
            writer.write_many(list(written))
            advance(len(records))


def _splits(examples: Sequence[Examples], data: DataSpec) -> dict[str, list[str]]:
    """Return the files of each split that is predicted for.

    Raises:
      DataError: there is no such split.
    """
    known = list(dict.fromkeys(name for artifact in examples for name in split_names(artifact)))
    for split in data.example_splits:
        if split not in known:
            raise DataError(
                f"examples have no split {split!r}",
                path=examples[0].uri,
                hint=suggestion(split, known, noun="split"),
            )
    wanted = data.example_splits or tuple(known)
    return {
        split: [
            file
            for artifact in examples
            if split in split_names(artifact)
            for file in split_files(artifact, split)
        ]
        for split in wanted
    }


def _check(columns: OutputExampleSpec) -> None:
    for spec in columns.output_columns_spec:
        kinds = (spec.classify_output, spec.regress_output, spec.predict_output)
        if sum(kind is not None for kind in kinds) == 1:
            continue
        raise ParameterError(
            "output_example_spec: each output_columns_spec should have one of classify_output, "
            "regress_output and predict_output"
        )
    if not columns.output_columns_spec:
        raise ParameterError("output_example_spec has no output_columns_spec")


def _records(file: str) -> Iterator[tuple[int, list[bytes]]]:
    """Yield serialized examples, some at a time, each time with how many came before."""
    batches: Iterable[list[bytes]]
    if is_parquet(file):
        batches = map(encode, parquet.read_example_batches(file, BATCH_ROWS))
    else:
        batches = read_serialized_batches(file)
    first = 0
    for records in rebatch(batches, BATCH_ROWS):
        yield first, list(records)
        first += len(records)
