"""One model and serialized examples: what it gives for these, whatever its framework."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from penstock.artifacts import Model
from penstock.components.bulk_inferrer.specs import ModelSpec
from penstock.data.records import decode_records
from penstock.errors import DataError, ParameterError, RowError
from penstock.models.layout import serving_model
from penstock.models.loading import Model as LoadedModel
from penstock.models.loading import facts_of, load_model, trusted_code
from penstock.models.predictions import PROBABILITIES, array_of, classes_of
from penstock.models.training_data import as_rows
from penstock.models.transforming.fitted import read_features

if TYPE_CHECKING:
    from penstock.models.flavors.tensorflow_flavor import AskedSignature

PREDICT = "tensorflow/serving/predict"
CLASSIFY = "tensorflow/serving/classify"
REGRESS = "tensorflow/serving/regress"

_TENSORFLOW = "tensorflow"
_ARGUMENT = "examples"


@dataclass(frozen=True)
class Answers:
    """What a model gives for some examples: arrays of as many rows, or lists, by output.

    `classes` are the labels of a classifier whose outputs do not say them.
    """

    outputs: Mapping[str, Any]
    classes: tuple[Any, ...] | None = None


@dataclass(frozen=True)
class Inference:
    """A model that is asked about examples; the names are those that prediction logs have."""

    ask: Callable[[Sequence[bytes], str, int], Answers]
    signature: str = ""
    argument: str = _ARGUMENT
    method: str = PREDICT


@dataclass(frozen=True)
class AskedModel:
    """A model that is asked for one node, as it is sent to who asks it.

    `trusted` is the code that may run for it. `asking` tells what nodes ask apart, for which the
    same place may have another model.
    """

    uri: str
    trusted: tuple[str, ...]
    signature_names: tuple[str, ...]
    asking: str

    @classmethod
    def of(cls, model: Model, spec: ModelSpec) -> AskedModel:
        """Make it of an artifact."""
        names = tuple(spec.model_signature_name)
        return cls(model.uri, trusted_code(model), names, uuid.uuid4().hex)


@lru_cache(maxsize=1)
def inference_of(model: AskedModel) -> Inference:
    """Return how a model is asked: by a signature that takes examples, or by columns.

    A process that asks it again has it loaded.

    Raises:
      ParameterError: several signatures are named, or one of a model that has none.
      DataError: there is no model, or no such signature.
    """
    directory = serving_model(model.uri)
    names = model.signature_names
    if len(names) > 1:
        raise ParameterError(
            f"model_spec: expected one signature, got {', '.join(names)}",
            hint="Use a BulkInferrer for each.",
        )
    is_saved_model = facts_of(directory).flavor == _TENSORFLOW and not read_features(directory)
    if is_saved_model:
        from penstock.models.flavors.tensorflow_flavor import asked_signature

        asked = asked_signature(directory, *names)
        if asked is not None:
            return Inference(
                _BySignature(asked, directory), asked.name, asked.argument, asked.method
            )
    if names:
        raise ParameterError(
            f"model_spec: the model has no signature {names[0]!r} that takes serialized examples",
            hint="Leave model_signature_name out: the model is asked by its columns.",
        )
    return Inference(_ByColumns(load_model(model.uri, trusted=model.trusted)))


@dataclass(frozen=True)
class _BySignature:
    """A SavedModel that is asked by a signature which takes the examples as they are."""

    signature: AskedSignature
    directory: str

    def __call__(self, records: Sequence[bytes], path: str, first: int) -> Answers:
        outputs = self.signature.ask(records)
        for name, values in outputs.items():
            if not values.ndim or len(values) != len(records):
                raise DataError(
                    f"the model's output {name!r} has the shape {list(values.shape)} for "
                    f"{len(records)} rows",
                    path=self.directory,
                )
        return Answers(outputs)


@dataclass(frozen=True)
class _ByColumns:
    """A model that is asked by rows, of the types that training has them in."""

    model: LoadedModel
    _kinds: MutableMapping[str, pa.DataType] = field(default_factory=dict)

    def __call__(self, records: Sequence[bytes], path: str, first: int) -> Answers:
        batch = decode_records(records, path, first)
        signature = self.model.signature
        if signature is not None:
            known = {column.name for column in signature.inputs}
            names = [name for name in batch.schema.names if name in known]
            batch = pa.RecordBatch.from_arrays([batch.column(n) for n in names], names=names)
        rows = pa.Table.from_batches([as_rows(batch, self._kinds)])
        try:
            predictions = self.model.predict(rows)
        except RowError as error:
            raise error.within(path, first) from None
        if predictions.num_rows != len(records):
            raise DataError(
                f"the model gave {predictions.num_rows} predictions for {len(records)} rows",
                path=self.model.directory,
            )
        classes = classes_of(predictions)
        if classes is None and signature is not None:
            output = signature.output(PROBABILITIES)
            classes = output.classes if output is not None else None
        return Answers({n: _values(predictions, n) for n in predictions.schema.names}, classes)


def _values(table: pa.Table, name: str) -> Any:
    """Return a column as an array of a row each, or as lists where these are of several sizes."""
    try:
        return array_of(table, name)
    except ValueError:
        return table.column(name).to_pylist()


def row_of(values: Any, row: int) -> Any:
    """Return the output for one row, as an array of its own shape."""
    value = values[row]
    return np.asarray(value, object) if isinstance(value, (str, bytes)) else np.asarray(value)
