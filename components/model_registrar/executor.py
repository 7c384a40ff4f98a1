"""Registering a model from within its pipeline."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from typing import Any

from penstock import NodeContext, registry
from penstock.artifacts import Model, ModelEvaluation, ModelRegistration
from penstock.components.pusher.executor import is_blessed
from penstock.errors import ParameterError
from penstock.metadata import store as stores

REGISTRATION_FILE = "registration.json"


def register_if_blessed(
    *,
    registration: ModelRegistration,
    model: Model,
    blessings: Sequence[Any],
    evaluation: ModelEvaluation | None,
    name: str,
    alias: str | None,
    description: str,
    context: NodeContext,
) -> None:
    """Register the model unless a blessing that is given says no; write what became of it."""
    for blessing in blessings:
        if not is_blessed(blessing):
            print(f"Not registered: {blessing.type_name} {blessing.uri} says no.")
            _write(registration, name, None)
            return
    if context.store is None:
        raise ParameterError(
            "ModelRegistrar writes to the metadata store of its run, and this runner does not say "
            "where that is",
            hint="Run the pipeline with `penstock run`, or register the model afterwards: penstock "
            "model register RUN NAME.",
        )
    who = f"run {context.run_id}"
    judged = {b.type_name: b.id for b in blessings}
    with stores.connect(context.store, create=False) as metadata:
        store = metadata.store
        version = registry.register(
            store,
            name,
            model.id,
            who=who,
            description=description,
            judgements={**judged, **({evaluation.type_name: evaluation.id} if evaluation else {})},
        )
        if alias is not None and registry.read_model(store, name).aliases.get(alias) != (
            version.number
        ):
            registry.move_alias(store, name, alias, version.number, who=who)
    _write(registration, name, version.number)
    print(f"Registered {model.uri} as {version.name}.")


def _write(registration: ModelRegistration, name: str, version: int | None) -> None:
    registered = version is not None
    os.makedirs(registration.uri, exist_ok=True)
    with open(os.path.join(registration.uri, REGISTRATION_FILE), "w", encoding="utf-8") as file:
        json.dump({"model": name, "version": version, "registered": registered}, file)
        file.write("\n")
    registration.set_string_custom_property("model", name)
    registration.set_int_custom_property("registered", int(registered))
    if version is not None:
        registration.set_int_custom_property("version", version)
