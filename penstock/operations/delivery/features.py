"""Whether the features that a pipeline's code reads are in its curated schema."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from penstock import ir
from penstock.errors import PenstockError, suggestion
from penstock.execution.cache import code_files
from penstock.execution.resolution import node_parameters
from penstock.models.transforming.fitted import Features
from penstock.operations.delivery.checks import Check, State
from penstock.project.extras import is_installed
from penstock.project.user_code import load_function

NAME = "schema"
_PREPROCESSING = "preprocessing_fn"
# Stages of a feature's life in which nobody should read it any more.
_GONE = ("DEPRECATED", "DISABLED")


@dataclass(frozen=True)
class Reading:
    """What a piece of code reads of the data: `features` by name, and what it makes of them.

    `place` says which code; `unknown` why it cannot be told what it reads.
    """

    place: str
    features: tuple[str, ...] = ()
    makes: tuple[str, ...] = ()
    unknown: str = ""


def check_schema(pipeline: ir.Pipeline, name: str, folder: str) -> list[Check]:
    """Return which features the code of a pipeline reads that its schema has not.

    The schema is the one that the pipeline imports. What cannot be told without running the
    pipeline is named.
    """
    try:
        schemas = list(_schemas(pipeline, folder))
    except PenstockError as error:
        return [Check(NAME, State.FAILED, str(error), name)]
    if not schemas:
        reason = "the pipeline imports no schema that could be looked at"
        return [Check(NAME, State.SKIPPED, reason, name)]
    checks: list[Check] = []
    for path, schema in schemas:
        readings = [reading for node in pipeline for reading in _readings(node, schema)]
        checks += _compared(path, schema, readings, name)
    return checks


def _compared(path: str, schema: Any, readings: Iterable[Reading], name: str) -> Iterator[Check]:
    readings = list(readings)
    declared = {feature.name for feature in schema.feature}
    declared |= {feature.name for feature in schema.sparse_feature}
    deprecated = {f.name for f in schema.feature if f.deprecated or _stage(f) in _GONE}
    made = {feature for reading in readings for feature in reading.makes}
    failures = []
    for reading in readings:
        for feature in reading.features:
            if feature in declared - deprecated or feature in made:
                continue
            what = "is deprecated in it" if feature in deprecated else "is not in it"
            failures.append(
                Check(
                    NAME,
                    State.FAILED,
                    f"{reading.place} reads the feature {feature!r}, which {what}",
                    name,
                    where=path,
                    hint=suggestion(feature, declared - deprecated, noun="feature"),
                )
            )
    yield from failures
    unknown = [f"{r.place}: {r.unknown}" for r in readings if r.unknown]
    if failures:
        return
    read = {feature for reading in readings for feature in reading.features} - made
    message = f"{len(read)} of its {len(declared)} features are read, and all that is read is there"
    if not read:
        message = "which of its features are read cannot be told"
    if unknown:
        message += f"; not looked at: {'; '.join(unknown)}"
    yield Check(NAME, State.PASSED if read else State.SKIPPED, message, name, where=path)


def _stage(feature: Any) -> str:
    stages = feature.DESCRIPTOR.fields_by_name["lifecycle_stage"].enum_type.values_by_number
    return str(stages[feature.lifecycle_stage].name)


def _schemas(pipeline: ir.Pipeline, folder: str) -> Iterator[tuple[str, Any]]:
    """Yield the schemas of a pipeline, as files and read.

    Raises:
      PenstockError: a file is not there, or is no schema.
    """
    for node in pipeline:
        parameters = node_parameters(node)
        uri = parameters.get("schema_file") or _imported(node, parameters)
        if not isinstance(uri, str) or "://" in uri or not uri:
            continue
        path = os.path.join(folder, uri)
        if os.path.isdir(path):
            path = os.path.join(path, "schema.pbtxt")
        yield path, _read_schema(path, node)


def _imported(node: ir.Node, parameters: Mapping[str, Any]) -> str:
    types = [spec.artifact_spec.type.name for spec in node.proto.outputs.outputs.values()]
    return str(parameters.get("artifact_uri", "")) if types == ["Schema"] else ""


def _read_schema(path: str, node: ir.Node) -> Any:
    from google.protobuf import text_format
    from tensorflow_metadata.proto.v0 import schema_pb2

    try:
        with open(path, encoding="utf-8") as file:
            return text_format.Parse(file.read(), schema_pb2.Schema())
    except (OSError, UnicodeDecodeError, text_format.ParseError) as error:
        raise PenstockError(
            f"the schema that {node.id} imports cannot be read: {error} ({path})",
            hint="It is written in protobuf's text format: penstock.schemas has some.",
        ) from error


def _readings(node: ir.Node, schema: Any) -> Iterator[Reading]:
    parameters = node_parameters(node)
    yield from _of_evaluation(node, parameters)
    named = node.kind.rpartition(".")[2]
    if named == "Transform":
        yield _of_preprocessing(node, parameters, schema)
    elif named in ("Trainer", "Tuner"):
        yield from _of_training(node, parameters)


def _of_evaluation(node: ir.Node, parameters: Mapping[str, Any]) -> Iterator[Reading]:
    """Yield the label, weights and slices that an evaluation's configuration names."""
    text = parameters.get("eval_config")
    if not isinstance(text, str):
        return
    config = json.loads(text)
    named: list[str] = []
    for model in config.get("model_specs", ()):
        made_by_model = bool(model.get("preprocessing_function_names"))
        labels = [model.get("label_key"), *(model.get("label_keys") or {}).values()]
        named += [] if made_by_model else filter(None, labels)
        named += filter(None, [model.get("example_weight_key")])
    for part in config.get("slicing_specs", ()):
        named += [*part.get("feature_keys", ()), *part.get("feature_values", {})]
    yield Reading(f"{node.id}'s eval_config", tuple(dict.fromkeys(named)))


def _of_training(node: ir.Node, parameters: Mapping[str, Any]) -> Iterator[Reading]:
    """Yield what `@features` in the code of a training function read; the rest it reads itself."""
    if "transform_graph" in node.producers_by_input:
        return  # it is given what preprocessing makes
    name = "train_fn" if parameters.get("train_fn") else "run_fn"
    try:
        _load(name, parameters)
    except PenstockError as error:
        yield Reading(node.id, unknown=str(error))
        return
    files = {os.path.realpath(file) for file in code_files(node.executor_path, parameters)}
    described: dict[str, Features] = {}
    for module in list(sys.modules.values()):
        members = getattr(module, "__dict__", {})
        if os.path.realpath(str(members.get("__file__") or "")) in files:
            found = {n: v for n, v in list(members.items()) if isinstance(v, Features)}
            described.update({f"{module.__name__}.{n}": value for n, value in found.items()})
    if not described:
        yield Reading(f"{node.id}'s {name}", unknown="it reads what it likes when it runs")
    for place, features in _distinct(described):
        try:
            yield Reading(place, tuple(features.inputs))
        except PenstockError as error:
            yield Reading(place, unknown=str(error))


def _load(name: str, parameters: Mapping[str, Any]) -> Callable[..., Any]:
    """Load a function of the user's as the component does that runs it."""
    function = parameters.get(name)
    module = {key: parameters.get(key) for key in ("module_file", "module_path")}
    named = function if isinstance(function, str) and "." in function else None
    attribute = function if isinstance(function, str) and function and named is None else name
    return load_function(attribute, function=named, **module)


def _distinct(described: Mapping[str, Features]) -> Iterator[tuple[str, Features]]:
    seen: set[int] = set()
    for place, features in sorted(described.items()):
        if id(features) not in seen:
            seen.add(id(features))
            yield place, features


class _Recorded(dict[str, Any]):
    """Tensors by feature, which remembers what it was asked for."""

    def __init__(self, tensors: Mapping[str, Any], asked: dict[str, None]) -> None:
        super().__init__(tensors)
        self.asked = asked

    def __getitem__(self, key: str) -> Any:
        self.asked[key] = None
        return super().__getitem__(key)

    def get(self, key: str, default: Any = None) -> Any:
        if key in self:
            return self[key]
        return default

    def items(self) -> Any:
        return [(key, self[key]) for key in self]

    def values(self) -> Any:
        return [self[key] for key in self]

    def pop(self, key: str, *default: Any) -> Any:
        self.asked[key] = None
        return super().pop(key, *default)


def _of_preprocessing(node: ir.Node, parameters: Mapping[str, Any], schema: Any) -> Reading:
    """Trace preprocessing_fn on tensors of the schema's features, as TensorFlow Transform does."""
    place = f"{node.id}'s {_PREPROCESSING}"
    if not is_installed("tensorflow_transform"):
        return Reading(place, unknown="TensorFlow Transform, by which it is traced, is not there")
    try:
        function = _load(_PREPROCESSING, parameters)
    except PenstockError as error:
        return Reading(place, unknown=str(error))
    asked: dict[str, None] = {}
    made: dict[str, None] = {}

    def traced(inputs: Mapping[str, Any]) -> Any:
        outputs = function(_Recorded(inputs, asked))
        made.update(dict.fromkeys(outputs))
        return outputs

    try:
        _trace(traced, schema)
    except KeyError as error:
        if error.args and error.args[0] in asked:
            return Reading(place, tuple(asked), tuple(made))
        return Reading(place, tuple(asked), tuple(made), f"it raises {error!r}")
    except Exception as error:  # whatever the user's code does with tensors
        return Reading(
            place, tuple(asked), tuple(made), f"it raises {type(error).__name__}: {error}"
        )
    return Reading(place, tuple(asked), tuple(made))


def _trace(function: Callable[..., Any], schema: Any) -> None:
    import tensorflow as tf
    import tensorflow_transform as tft
    from tensorflow_transform.tf_metadata import schema_utils

    specs = schema_utils.schema_as_feature_spec(schema).feature_spec
    with tf.compat.v1.Graph().as_default():
        tft.get_transform_input_columns(function, specs)
