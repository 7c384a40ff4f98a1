"""What two versions differ in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from penstock.metadata.registered import Version


@dataclass(frozen=True)
class Difference:
    """Something that two versions differ in; None is nothing."""

    kind: str
    name: str
    before: Any
    after: Any


def difference(before: Version, after: Version) -> tuple[Difference, ...]:
    """Return what two versions differ in: signature, data, schema, code, parameters, metrics."""
    return tuple(
        Difference(kind, name, one.get(name), other.get(name))
        for kind, one, other in _compared(before, after)
        for name in dict.fromkeys((*one, *other))
        if one.get(name) != other.get(name)
    )


def _compared(
    before: Version, after: Version
) -> Iterator[tuple[str, Mapping[str, Any], Mapping[str, Any]]]:
    yield "model", _whole(before), _whole(after)
    for kind, read in (
        ("input", lambda facts: _columns(facts, "inputs")),
        ("output", lambda facts: _columns(facts, "outputs")),
        ("parameter", lambda facts: facts.get("parameters", {})),
        ("data", lambda facts: {d["node_id"]: _of_data(d) for d in facts.get("data", ())}),
        ("schema", lambda facts: {s["node_id"]: s["digest"] for s in facts.get("schemas", ())}),
        ("code", _code),
        ("package", lambda facts: facts.get("packages", {})),
        ("environment", lambda facts: facts.get("environment", {})),
    ):
        yield kind, read(before.facts), read(after.facts)
    yield (
        "metric",
        {metric.name: metric.value for metric in before.metrics},
        {metric.name: metric.value for metric in after.metrics},
    )


def _whole(version: Version) -> dict[str, Any]:
    return {
        "digest": version.digest,
        "flavor": version.facts.get("flavor"),
        "blessed": version.is_blessed,
        "pipeline": version.facts.get("pipeline"),
        "image": version.facts.get("image"),
    }


def _columns(facts: Mapping[str, Any], side: str) -> dict[str, Any]:
    columns = (facts.get("signature") or {}).get(side, ())
    return {
        str(column["name"]): {k: column[k] for k in column if k != "name"} for column in columns
    }


def _of_data(data: Mapping[str, Any]) -> Any:
    span, version = data.get("span"), data.get("version")
    named = {key: value for key, value in (("span", span), ("version", version)) if value}
    return {**named, "digest": data["digest"]}


def _code(facts: Mapping[str, Any]) -> dict[str, str]:
    nodes = facts.get("code", {}).values()
    return {path: digest for files in nodes for path, digest in files.items() if path != "all code"}
