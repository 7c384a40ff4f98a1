"""A pipeline made ready to run on this machine under a profile."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from penstock import ir
from penstock.errors import ParameterError, suggestion
from penstock.openlineage import parse_destination
from penstock.opentelemetry import collector_of
from penstock.project.profiles import Profile
from penstock.project.scalars import scalar_of
from penstock.runners.local import LocalRunner
from penstock.runners.local.display import Display


@dataclass(frozen=True)
class Prepared:
    """A compiled pipeline, the values of its parameters, and the runner of a profile."""

    compiled: Any
    parameters: Mapping[str, Any]
    runner: LocalRunner


def prepare(
    definition: Any,
    pipeline: str,
    profile: Profile,
    parameters: Mapping[str, Any],
    *,
    parallelism: int | None = None,
    events: bool = True,
    display: Display | None = None,
    without_deployment: bool = False,
    accelerate: bool = True,
) -> Prepared:
    """Compile a pipeline for a profile; `pipeline` is what it is called where it has no name.

    `parameters` come before the profile's. A text among them is turned into the type that the
    pipeline declares. `without_deployment` leaves out the nodes that deploy. Without
    `accelerate`, as with a profile that says so, TFX's own executors do the work of TFX's nodes.

    Raises:
      ParameterError: one is unknown, of another type, or not used by any node.
      PenstockError: the pipeline does not compile.
    """
    name = pipeline_name(definition, pipeline)
    root = profile.root_of(name)
    compiled = ir.compile_pipeline(definition, pipeline_root=root, beam_args=profile.beam_args)
    given = profile.parameters.get(name, {})
    ir.check_used(definition, compiled, [*given, *parameters])
    address, token = profile.events_address() if events else ("", "")
    runner = LocalRunner(
        pipeline_root=root,
        metadata=store_address(profile, compiled),
        parallelism=parallelism or profile.parallelism,
        beam_args=profile.beam_args,
        display=display,
        openlineage=address
        and parse_destination(address, token=token, namespace=profile.openlineage_namespace),
        opentelemetry=collector_of(profile.collector_address(), os.environ) if events else None,
        accelerate=accelerate and profile.accelerate,
        store_patience=profile.metadata_patience,
        limit=profile.limits.get(name),
    )
    values = {**given, **parameter_values(name, parameters, ir.run_parameters(compiled))}
    if without_deployment:
        compiled = ir.without_deployment(compiled)
        left = ir.run_parameters(compiled)
        values = {key: value for key, value in values.items() if key in left}
    return Prepared(compiled, values, runner)


def pipeline_name(definition: Any, default: str) -> str:
    """Return the name that a pipeline gives itself."""
    return str(getattr(definition, "name", None) or getattr(definition, "pipeline_name", default))


def store_address(profile: Profile, compiled: Any) -> str | None:
    """Return the profile's store; a TFX pipeline's own counts where the profile names none."""
    if not profile.metadata and ir.metadata_connection(compiled) is not None:
        return None
    return profile.metadata_address()


def split_arguments(arguments: Iterable[str]) -> dict[str, str]:
    """Return the names and the texts of arguments as NAME=VALUE.

    Raises:
      ParameterError: one has no equals sign.
    """
    given = {}
    for item in arguments:
        key, equals, text = item.partition("=")
        if not equals:
            raise ParameterError(f"expected NAME=VALUE after -p, got {item!r}")
        given[key] = text
    return given


def parameter_values(
    name: str, given: Mapping[str, Any], declared: Mapping[str, ir.RunParameter]
) -> dict[str, Any]:
    """Turn texts into values of the types that the pipeline `name` declares.

    Raises:
      ParameterError: a name is unknown, or a text stands for no value of its type.
    """
    values: dict[str, Any] = {}
    for key, value in given.items():
        if key not in declared:
            raise ParameterError(
                f"pipeline {name} has no parameter {key!r}",
                hint=suggestion(key, declared, noun="parameter"),
            )
        values[key] = _value(name, key, value, declared[key].type)
    return values


def _value(name: str, key: str, value: Any, kind: type) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return scalar_of(value, kind)
    except ValueError as error:
        raise ParameterError(f"pipeline {name}, parameter {key!r}: {error}") from None
