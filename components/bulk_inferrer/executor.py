"""All rows of examples by one model, some at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from penstock.artifacts import Examples, InferenceResult, Model, ModelBlessing
from penstock.components.bulk_inferrer.inference import Inference, inference_of
from penstock.components.bulk_inferrer.specs import DataSpec, ModelSpec, OutputExampleSpec
from penstock.components.bulk_inferrer.writing import prediction_logs, with_columns
from penstock.components.pusher.executor import is_blessed
from penstock.data import parquet
from penstock.data.coding.examples import encode
from penstock.data.data_files import is_parquet
from penstock.data.records import read_serialized_batches, rebatch, write_serialized
from penstock.data.splits import encode_split_names, split_directory, split_files, split_names
from penstock.errors import DataError, ParameterError, suggestion

BATCH_ROWS = 1000

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
) -> None:
    """Predict for the rows, and write what came of it into the output that is there."""
    splits = _splits(examples, data)
    if model_blessing is not None and not is_blessed(model_blessing):
        print(f"Nothing is predicted: the model {model.uri} is not blessed.")
        if output_examples is not None:
            output_examples.split_names = encode_split_names([])
        return
    inference = inference_of(model, asked)
    counted = _Counted(progress)
    if output_examples is not None and columns is not None:
        _check(columns)
        for split, files in splits.items():
            records = _with_columns(inference, columns, files, counted)
            folder = split_directory(output_examples.uri, split)
            write_serialized(folder, EXAMPLES_PREFIX, records, len(files))
        output_examples.split_names = encode_split_names(sorted(splits))
    if inference_result is not None:
        every = [file for files in splits.values() for file in files]
        write_serialized(
            inference_result.uri, LOGS_PREFIX, _logs(inference, every, counted), len(every)
        )
    print(f"Predicted for {counted.rows} rows of {', '.join(splits)}.")


class _Counted:
    """How many rows are done."""

    def __init__(self, progress: Progress) -> None:
        self.rows = 0
        self._progress = progress

    def add(self, rows: int) -> None:
        self.rows += rows
        self._progress(rows=self.rows)


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


def _logs(inference: Inference, files: Sequence[str], counted: _Counted) -> Iterator[bytes]:
    for file in files:
        for first, records in _records(file):
            answers = inference.ask(records, file, first)
            yield from prediction_logs(inference, records, answers)
            counted.add(len(records))


def _with_columns(
    inference: Inference, columns: OutputExampleSpec, files: Sequence[str], counted: _Counted
) -> Iterator[bytes]:
    for file in files:
        for first, records in _records(file):
            answers = inference.ask(records, file, first)
            yield from with_columns(columns, records, answers, file, first)
            counted.add(len(records))


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
