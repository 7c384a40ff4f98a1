"""The requests that a model carries for its own warm-up, beside its files.

    assets.extra/tf_serving_warmup_requests    of SavedModels: TensorFlow Serving reads it, too
    penstock_warmup.jsonl                      of all other models: a row a line

The first is a TFRecord of PredictionLogs.
"""

from __future__ import annotations

import filecmp
import json
import os
from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from typing import Any

import numpy as np
import pyarrow as pa

from penstock.data.coding.messages import MessageDecoder
from penstock.data.coding.prediction_logs import (
    fill_tensor,
    prediction_log_class,
    tensor_values,
)
from penstock.data.records import TFRecordWriter, read_serialized
from penstock.errors import DataError
from penstock.models.json_rows import rows_as_json, rows_of_lines
from penstock.models.loading import facts_of
from penstock.models.predictions import fixed_lists
from penstock.models.rows import as_table
from penstock.safety import bounded

ROWS_FILE = "penstock_warmup.jsonl"
REQUESTS_FILE = os.path.join("assets.extra", "tf_serving_warmup_requests")

# As many as TensorFlow Serving reads.
MOST_ROWS = 1000

_TENSORFLOW = "tensorflow"


def warmup_rows(directory: str) -> pa.Table | None:
    """Return the rows of the warm-up requests that a model carries; None where it carries none.

    They are of the types of the model's signature. Requests for other signatures than the one
    by which the model is asked are left out, and so is what is beyond a thousand rows.

    Raises:
      DataError: the file is not what it should be, or its rows do not fit the model.
    """
    path = os.path.join(directory, ROWS_FILE)
    read: Callable[[str, str], pa.Table | None] = _rows_in_lines
    if not os.path.isfile(path):
        path, read = os.path.join(directory, REQUESTS_FILE), _rows_in_requests
        if not os.path.isfile(path):
            return None
    signature = facts_of(directory).signature
    table = read(directory, path)
    if table is None or signature is None:
        return table
    try:
        return signature.cast(table)
    except DataError as error:
        raise DataError(
            f"the model's warm-up requests do not fit it: {error.message}",
            path=path,
            column=error.column,
            hint="Remove the file, or have it written anew by an InfraValidator.",
        ) from error


def write_warmup(directory: str, rows: pa.Table) -> str:
    """Write rows as the warm-up requests of the model in a directory; return the file.

    Raises:
      DataError: its signature takes no such rows.
    """
    facts = facts_of(directory)
    table = rows.slice(0, MOST_ROWS)
    if facts.signature is not None:
        table = facts.signature.cast(table)
    if facts.flavor == _TENSORFLOW:
        return _write_requests(directory, table)
    path = os.path.join(directory, ROWS_FILE)
    with open(path, "w", encoding="utf-8") as file:
        for row in rows_as_json(table):
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
    return path


def is_warm_copy(directory: str, original: str) -> bool:
    """Return whether a directory has the model of another, with warm-up requests of its own."""
    names = _files(directory)
    if names != _files(original):
        return False
    return all(
        filecmp.cmp(os.path.join(directory, name), os.path.join(original, name), shallow=False)
        for name in names
    )


def _files(directory: str) -> set[str]:
    """Return the names of a model's files, without those of its warm-up requests."""
    found = {
        os.path.relpath(os.path.join(folder, name), directory)
        for folder, _, names in os.walk(directory)
        for name in names
    }
    return found - {ROWS_FILE, REQUESTS_FILE}


def _write_requests(directory: str, table: pa.Table) -> str:
    from penstock.models.flavors import tensorflow_flavor as flavor

    path = os.path.join(directory, REQUESTS_FILE)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    name = flavor.signature_name(directory)
    with TFRecordWriter(path) as writer:
        for request in flavor.requests_of(directory, table):
            log = prediction_log_class()()
            log.predict_log.request.model_spec.signature_name = name
            for argument, values in request.items():
                fill_tensor(log.predict_log.request.inputs[argument], values)
            writer.write(log.SerializeToString(deterministic=True))
    return path


def _rows_in_lines(directory: str, path: str) -> pa.Table | None:
    del directory
    with open(path, "rb") as file:
        lines = bounded.lines_of(file, path)
        rows = [row for _, row in islice(rows_of_lines(lines, path), MOST_ROWS)]
    return as_table(rows) if rows else None


def _rows_in_requests(directory: str, path: str) -> pa.Table | None:
    """Return the rows of requests, be they examples or columns; all are of one kind."""
    from google.protobuf.message import DecodeError

    from penstock.models.flavors import tensorflow_flavor as flavor

    asked = ("", flavor.signature_name(directory))
    parses = flavor.parses_examples(directory)
    examples: list[bytes] = []
    columns: list[Mapping[str, Any]] = []
    for record in islice(read_serialized(path), MOST_ROWS):
        try:
            log = prediction_log_class().FromString(record)
        except DecodeError as error:
            raise DataError(f"expected a PredictionLog: {error}", path=path) from error
        for kind in (log.classify_log, log.regress_log):
            if kind.request.model_spec.signature_name in asked:
                examples += kind.request.input.example_list.examples
        request = log.predict_log.request
        if request.inputs and request.model_spec.signature_name in asked:
            inputs = {name: tensor_values(tensor) for name, tensor in request.inputs.items()}
            if parses:
                examples += [record for values in inputs.values() for record in values.reshape(-1)]
            else:
                columns.append(inputs)
    if examples:
        return _of_examples(examples[:MOST_ROWS], path)
    return _of_columns(columns, path).slice(0, MOST_ROWS) if columns else None


def _of_examples(records: list[bytes], path: str) -> pa.Table:
    try:
        batch = MessageDecoder().DecodeBatch(records)
    except ValueError as error:
        raise DataError(f"expected serialized tf.Examples: {error}", path=path) from error
    return pa.Table.from_batches([batch])


def _of_columns(requests: Sequence[Mapping[str, Any]], path: str) -> pa.Table:
    """Return the columns of several requests, each of which has arrays of one or several rows."""
    columns = {}
    for name in requests[0]:
        try:
            values = np.concatenate([np.atleast_1d(inputs[name]) for inputs in requests])
        except (KeyError, ValueError) as error:
            raise DataError(
                "expected requests with the same arguments, of one shape each",
                path=path,
                column=name,
            ) from error
        if values.ndim == 2 and values.shape[1] == 1:
            values = values[:, 0]
        columns[name] = pa.array(values) if values.ndim == 1 else fixed_lists(values)
    try:
        return pa.table(columns)
    except pa.ArrowInvalid as error:
        raise DataError(f"expected as many rows of each argument: {error}", path=path) from error
