"""TensorFlow Serving's REST API: predict by row or by column, classify and regress.

https://www.tensorflow.org/tfx/serving/api_rest. A row of a model with several columns is an object
of them; in the row format it may also be a list of their values in the signature's order, or a
serialized tf.Example, `{"b64": …}`, whatever made the model.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from penstock.errors import DataError
from penstock.models.predictions import PREDICTION, PROBABILITIES
from penstock.serving.protocols.form import (
    BASE64,
    Asked,
    Form,
    Predicted,
    Served,
    columns_of,
    of_model,
    parsed,
    plain_value,
    short,
    written,
)

_SIGNATURES = ("", "serving_default", "predict")


def _content(body: bytes, *keys: str) -> dict[str, Any]:
    content = parsed(body)
    if not isinstance(content, dict) or not any(key in content for key in keys):
        wanted = " or ".join(map(repr, keys))
        raise DataError(f"expected an object with {wanted}, got {short(content)}")
    return content


def _read_predict(body: bytes, head: int, served: Served) -> Asked:
    del head
    content = _content(body, "instances", "inputs")
    signature = content.get("signature_name") or ""
    if signature not in _SIGNATURES:
        raise DataError(
            f"the model answers by its signature 'serving_default', and was asked for {signature!r}"
        )
    if ("instances" in content) == ("inputs" in content):
        raise DataError("expected one of 'instances', by row, and 'inputs', by column, got both")
    if "instances" in content:
        instances = content["instances"]
        if not isinstance(instances, list) or not instances:
            raise DataError(f"instances: expected a list of rows, got {short(instances)}")
        return Asked(_of_instances(instances, served), len(instances))
    return _of_inputs(content["inputs"], served)


def _of_instances(instances: list[Any], served: Served) -> Mapping[str, Sequence[Any]]:
    names = [column.name for column in served.inputs]
    first = instances[0]
    if isinstance(first, dict):
        if all(_is_example(instance, names) for instance in instances):
            return _of_examples([_bytes_in(instance) for instance in instances])
        if list(first) == [BASE64] and len(names) == 1:
            return {names[0]: [plain_value(value) for value in instances]}
        return columns_of(instances, served)
    if len(names) == 1:
        return {names[0]: [plain_value(value) for value in instances]}
    for number, instance in enumerate(instances):
        if not isinstance(instance, list) or len(instance) != len(names):
            known = ", ".join(names) or "whose names its files do not say"
            raise DataError(
                f"row {number}: expected an object, or a list of {len(names)} values for the "
                f"columns {known}, got {short(instance)}"
            )
    return {
        name: [plain_value(instance[place]) for instance in instances]
        for place, name in enumerate(names)
    }


def _is_example(instance: Any, names: list[str]) -> bool:
    """Return whether an instance is a serialized tf.Example, plain or as the only argument."""
    if not isinstance(instance, dict) or len(instance) != 1:
        return False
    [(name, value)] = instance.items()
    if name == BASE64:
        return isinstance(value, str) and names != [BASE64] and len(names) != 1
    return name not in names and isinstance(value, dict) and list(value) == [BASE64]


def _bytes_in(instance: dict[str, Any]) -> bytes:
    [(name, value)] = instance.items()
    return plain_value(instance if name == BASE64 else value)


def _of_examples(records: list[bytes]) -> Mapping[str, Sequence[Any]]:
    from penstock.data.coding.messages import MessageDecoder

    try:
        batch = MessageDecoder().DecodeBatch(records)
    except ValueError as error:
        raise DataError(f"instances: expected serialized tf.Examples: {error}") from None
    columns: dict[str, list[Any]] = {}
    for name, array in zip(batch.schema.names, batch.columns, strict=True):
        values = array.to_pylist()
        columns[name] = [
            value[0] if isinstance(value, list) and len(value) == 1 else value or None
            for value in values
        ]
    return columns


def _of_inputs(inputs: Any, served: Served) -> Asked:
    names = [column.name for column in served.inputs]
    if not isinstance(inputs, dict) or list(inputs) == [BASE64]:
        if len(names) != 1:
            raise DataError(
                f"inputs: expected an object with the columns {', '.join(names)}, got "
                f"{short(inputs)}"
            )
        inputs = {names[0]: inputs}
    columns = {}
    for name, values in of_model(inputs, served).items():
        listed = values if isinstance(values, list) else [values]
        columns[name] = [plain_value(value) for value in listed]
    sizes = {name: len(values) for name, values in columns.items()}
    if len(set(sizes.values())) != 1:
        said = ", ".join(f"{name!r} has {size}" for name, size in sizes.items()) or "there is none"
        raise DataError(f"inputs: columns should have one value a row each: {said:.200}")
    if names and len(columns) == 1 and not columns.keys() & set(names):
        [values] = columns.values()
        if values and all(isinstance(value, bytes) for value in values):
            return Asked(_of_examples(values), len(values), {"by_column": True})
    return Asked(columns, next(iter(sizes.values())), {"by_column": True})


def _write_predict(predictions: Predicted, asked: Asked, served: Served) -> tuple[bytes, int]:
    del served
    columns = predictions.columns
    if asked.manner.get("by_column"):
        outputs: Any = next(iter(columns.values())) if len(columns) == 1 else columns
        return written({"outputs": outputs}), 0
    if len(columns) == 1:
        return written({"predictions": next(iter(columns.values()))}), 0
    names = list(columns)
    rows = [dict(zip(names, values, strict=True)) for values in zip(*columns.values(), strict=True)]
    return written({"predictions": rows}), 0


def _read_examples(body: bytes, head: int, served: Served) -> Asked:
    del head
    content = _content(body, "examples")
    examples, context = content["examples"], content.get("context") or {}
    if not isinstance(examples, list) or not examples:
        raise DataError(f"examples: expected a list of objects, got {short(examples)}")
    if not isinstance(context, dict):
        raise DataError(f"context: expected an object with features, got {short(context)}")
    for number, example in enumerate(examples):
        if not isinstance(example, dict):
            raise DataError(f"row {number}: expected an object, got {short(example)}")
    return Asked(
        columns_of([{**context, **example} for example in examples], served), len(examples)
    )


def _write_classify(predictions: Predicted, asked: Asked, served: Served) -> tuple[bytes, int]:
    del asked
    columns = predictions.columns
    scores = columns.get(PROBABILITIES) or columns.get("scores")
    if scores is None:
        scores = next((v for v in columns.values() if v and isinstance(v[0], list)), None)
    if scores is None:
        raise DataError(
            f"the model {served.name} is no classifier: it gives {', '.join(columns)}, and no list "
            "with a score for each class",
            hint="Ask it by :predict or :regress.",
        )
    results = []
    for row, values in enumerate(scores):
        labels: Sequence[Any] = predictions.classes or ()
        if not labels and "classes" in columns:
            labels = columns["classes"][row]
        labels = labels or range(len(values))
        results.append([[str(label), value] for label, value in zip(labels, values, strict=True)])
    return written({"results": results}), 0


def _write_regress(predictions: Predicted, asked: Asked, served: Served) -> tuple[bytes, int]:
    del asked
    columns = predictions.columns
    values = columns.get(PREDICTION) or columns.get("outputs")
    if values is None and len(columns) == 1:
        values = next(iter(columns.values()))
    if values is None or PROBABILITIES in columns or not _are_numbers(values):
        raise DataError(
            f"the model {served.name} is no regression: it gives {', '.join(columns)}, and not one "
            "number a row",
            hint="Ask it by :predict or :classify.",
        )
    return written({"results": values}), 0


def _are_numbers(values: list[Any]) -> bool:
    return all(isinstance(value, (int, float)) for value in values)


PREDICT = Form(_read_predict, _write_predict)
CLASSIFY = Form(_read_examples, _write_classify)
REGRESS = Form(_read_examples, _write_regress)
