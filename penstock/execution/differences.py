"""What has changed since an earlier execution of a node, in words."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from penstock.execution.cache import Fingerprint
from penstock.execution.contents import damage, recorded, visible_properties
from penstock.execution.values import same_value, text_of, value_differences

# Such parameters stand for what others name: `schema_fingerprint` for the contents of
# `schema_file`, and the `input_fingerprint` of ExampleGens, ours and TFX's, for a folder's.
_FINGERPRINT = "_fingerprint"
_INPUT_FINGERPRINT = "input_fingerprint"
_INPUT_FOLDER = "input_base"


def code_differences(now: Mapping[str, str], then: Mapping[str, str]) -> Iterator[str]:
    """Say which files of code differ."""
    for file in sorted({*now, *then}):
        if now.get(file) == then.get(file):
            continue
        if file not in then:
            yield f"code: {file} is used now"
        elif file not in now:
            yield f"code: {file} is used no more"
        else:
            yield f"code: {file} changed"


def parameter_differences(now: Mapping[str, Any], then: Mapping[str, Any]) -> Iterator[str]:
    """Say which parameters differ, of structured ones which fields, from what to what."""
    for name in sorted(now):
        before, after = then.get(name), now[name]
        if same_value(before, after):
            continue
        if name.endswith(_FINGERPRINT) and before:
            counts = _counts(str(before), str(after))
            yield f"the contents of {_named_by(name, now)} changed{counts}"
            continue
        for path, old, new in value_differences(name, before, after):
            yield f"parameter {path}: {old} → {new}"


def input_differences(
    key: str, now: Collection[Any], then: Collection[Any], producers: Collection[str]
) -> Iterator[str]:
    """Say what differs between the artifacts that a key has and those that it had."""
    source = f" from {', '.join(sorted(producers))}" if producers else ""
    name = key if not key.startswith("_") else key[1:]
    if not then:
        yield f"input {name}{source}: there was none, now there is one"
    elif not now:
        yield f"input {name}{source}: there was one, now there is none"
    elif len(now) != len(then):
        yield f"input {name}: {len(then)} artifacts → {len(now)}{source}"
    else:
        changes = [
            what
            for after, before in zip(now, then, strict=True)
            for what in _artifact_differences(after, before)
        ]
        yield f"input {name}{source}: {', '.join(dict.fromkeys(changes)) or 'other contents'}"


def differences(
    now: Fingerprint,
    then: Fingerprint,
    inputs: Mapping[str, Collection[Any]],
    earlier_inputs: Mapping[str, Collection[Any]],
    producers: Mapping[str, Collection[str]],
) -> list[str]:
    """Say what has changed: code, parameters and inputs, in that order.

    `inputs` and `earlier_inputs` are the artifacts behind the fingerprints' inputs, `producers` the
    nodes that they come from.
    """
    changes = [
        *code_differences(now.code, then.code),
        *parameter_differences(_parameters_of(now), then.parameters),
    ]
    if now.inputs is not None:
        before = then.inputs or {}
        for key in sorted({*now.inputs, *before}):
            if now.inputs.get(key) != before.get(key):
                artifacts, earlier = inputs.get(key, ()), earlier_inputs.get(key, ())
                changes += input_differences(key, artifacts, earlier, producers.get(key, ()))
    if now.node != then.node:
        changes.append("its definition changed (type, outputs, or options of its executor)")
    return changes


def _parameters_of(now: Fingerprint) -> dict[str, Any]:
    # Where an input is makes no difference.
    return {n: v for n, v in now.parameters.items() if not now.is_address(v)}


def _artifact_differences(now: Any, then: Any) -> Iterator[str]:
    after, before = visible_properties(now.mlmd_artifact), visible_properties(then.mlmd_artifact)
    for name in sorted({*after, *before} - {_INPUT_FINGERPRINT}):
        if after.get(name) != before.get(name):
            yield f"{name} {text_of(before.get(name))} → {text_of(after.get(name))}"
    if harm := damage(now):
        yield harm
        return
    digests = [contents and contents.digest for contents in map(recorded, _protos(now, then))]
    if digests[0] is None or digests[0] != digests[1]:
        yield "other contents"


def _protos(*artifacts: Any) -> list[Any]:
    return [artifact.mlmd_artifact for artifact in artifacts]


def _named_by(fingerprint: str, parameters: Mapping[str, Any]) -> str:
    """Return what a fingerprint is of: what a parameter beside it names, or its own name."""
    stem = fingerprint.removesuffix(_FINGERPRINT)
    for name in sorted(parameters):
        is_of_it = name.startswith(f"{stem}_") and name != fingerprint
        if is_of_it and (
            name.endswith(("_file", "_path", "_root", "_uri")) or name == _INPUT_FOLDER
        ):
            return str(parameters[name] or stem)
    return f"the {stem}"


def _counts(before: str, after: str) -> str:
    """Return how many files and bytes there were and are, where fingerprints say so."""
    old, new = (dict(p.split(":", 1) for p in t.split(",") if ":" in p) for t in (before, after))
    changes = []
    for part, noun in (("files", "files"), ("bytes", "bytes")):
        if part in old and part in new and old[part] != new[part]:
            changes.append(f"{old[part]} → {new[part]} {noun}")
    return f": {', '.join(changes)}" if changes else ""
