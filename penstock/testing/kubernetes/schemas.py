"""What objects may have, as KServe's CustomResourceDefinition and Kubernetes say.

Of an InferenceService that is what a predictor with a model is made of; `...` stands for objects
that are Kubernetes' own, and are taken as they are.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

ANY: Any = ...


@dataclass(frozen=True)
class Table:
    """An object: its fields by name, and those that it has to have."""

    fields: Mapping[str, Any]
    required: tuple[str, ...] = ()


@dataclass(frozen=True)
class Number:
    """A whole number of a range."""

    least: int = -(2**63)
    most: int = 2**63 - 1


@dataclass(frozen=True)
class Texts:
    """An object whose fields are texts."""


@dataclass(frozen=True)
class Text:
    """A text of a form, or of a choice."""

    form: str = ".*"
    choices: tuple[str, ...] = ()


@dataclass(frozen=True)
class Items:
    """A list."""

    of: Any = field(default=ANY)


_STORAGE = r"(gs|s3|hdfs|webhdfs|pvc|file|https?|hf|oci)://.+"

_METADATA = Table(
    {
        "name": Text(r"[a-z]([-a-z0-9]*[a-z0-9])?"),
        "namespace": Text(),
        "labels": Texts(),
        "annotations": Texts(),
        "resourceVersion": Text(),
        "generation": Number(),
        "uid": Text(),
        "creationTimestamp": Text(),
    },
    ("name",),
)

_MODEL = Table(
    {
        "modelFormat": Table({"name": Text(".+"), "version": Text()}, ("name",)),
        "runtime": Text(),
        "storageUri": Text(_STORAGE),
        "storage": ANY,
        "protocolVersion": Text(),
        "runtimeVersion": Text(),
        "name": Text(),
        "image": Text(),
        "args": Items(Text()),
        "command": Items(Text()),
        "env": Items(),
        "resources": ANY,
        "volumeMounts": Items(),
        "ports": Items(),
    },
    ("modelFormat",),
)

_PREDICTOR = Table(
    {
        "model": _MODEL,
        "minReplicas": Number(0),
        "maxReplicas": Number(0),
        "scaleTarget": Number(),
        "scaleMetric": Text(choices=("cpu", "memory", "concurrency", "rps")),
        "containerConcurrency": Number(0),
        "timeout": Number(),
        "canaryTrafficPercent": Number(0, 100),
        "logger": ANY,
        "batcher": ANY,
        "labels": Texts(),
        "annotations": Texts(),
        "serviceAccountName": Text(),
        "nodeSelector": Texts(),
        "tolerations": Items(),
        "affinity": ANY,
        "volumes": Items(),
    },
    ("model",),
)

INFERENCE_SERVICE = Table(
    {
        "apiVersion": Text(choices=("serving.kserve.io/v1beta1",)),
        "kind": Text(choices=("InferenceService",)),
        "metadata": _METADATA,
        "spec": Table(
            {"predictor": _PREDICTOR, "transformer": ANY, "explainer": ANY}, ("predictor",)
        ),
        "status": ANY,
    },
    ("apiVersion", "kind", "metadata", "spec"),
)

CONFIG_MAP = Table(
    {
        "apiVersion": Text(choices=("v1",)),
        "kind": Text(choices=("ConfigMap",)),
        "metadata": _METADATA,
        "data": Texts(),
        "binaryData": Texts(),
        "immutable": ANY,
    },
    ("apiVersion", "kind", "metadata"),
)


def unknown_fields(schema: Any, value: Any, where: str = "") -> Iterator[str]:
    """Yield the places of fields that a schema does not have."""
    if isinstance(schema, Table) and isinstance(value, Mapping):
        for name, item in value.items():
            place = f"{where}.{name}".lstrip(".")
            if name not in schema.fields:
                yield place
            else:
                yield from unknown_fields(schema.fields[name], item, place)
    if isinstance(schema, Items) and isinstance(value, list):
        for number, item in enumerate(value):
            yield from unknown_fields(schema.of, item, f"{where}[{number}]")


def faults(schema: Any, value: Any, where: str = "") -> Iterator[str]:
    """Yield what is wrong with a value, and where."""
    if schema is ANY:
        return
    if isinstance(schema, Table):
        yield from _faults_of_table(schema, value, where)
    elif isinstance(schema, Texts):
        if not isinstance(value, Mapping) or not all(isinstance(v, str) for v in value.values()):
            yield f"{where}: Invalid value: must be an object of strings"
    elif isinstance(schema, Number):
        if type(value) is not int:
            yield f"{where}: Invalid value: must be of type integer"
        elif not schema.least <= value <= schema.most:
            yield f"{where}: Invalid value: {value}: should be {schema.least} to {schema.most}"
    elif isinstance(schema, Text):
        if not isinstance(value, str):
            yield f"{where}: Invalid value: must be of type string"
        elif schema.choices and value not in schema.choices:
            yield f"{where}: Unsupported value: {value!r}: supported values: {schema.choices}"
        elif not re.fullmatch(schema.form, value, re.DOTALL):
            yield f"{where}: Invalid value: {value!r}: should match {schema.form}"
    elif not isinstance(value, list):
        yield f"{where}: Invalid value: must be of type array"
    else:
        for number, item in enumerate(value):
            yield from faults(schema.of, item, f"{where}[{number}]")


def _faults_of_table(schema: Table, value: Any, where: str) -> Iterator[str]:
    if not isinstance(value, Mapping):
        yield f"{where}: Invalid value: must be of type object"
        return
    for name in schema.required:
        if value.get(name) is None:
            yield f"{where}.{name}: Required value".lstrip(".")
    for name, item in value.items():
        if name in schema.fields and item is not None:
            yield from faults(schema.fields[name], item, f"{where}.{name}".lstrip("."))
