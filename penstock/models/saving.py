"""Saving a model with its facts, so that it can be loaded without the code that made it."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pyarrow as pa

from penstock.errors import DataError, suggestion
from penstock.models import known_flavors as flavors
from penstock.models.facts import FACTS_FILE, ModelFacts, write_facts
from penstock.models.flavor import Flavor, Saving, code_in
from penstock.models.loading import load_from
from penstock.models.predictions import PREDICTION, PROBABILITIES, classes_of
from penstock.models.rows import as_table
from penstock.models.signature import Column, Signature, columns_of
from penstock.models.transforming.fitted import FittedFeatures, save_features

EXAMPLE_ROWS = 5


def save_model(
    model: Any,
    directory: str,
    *,
    example: Any,
    flavor: str | None = None,
    features: FittedFeatures | None = None,
    classes: Sequence[Any] | None = None,
    optional: Collection[str] | None = None,
    options: Mapping[str, Any] | None = None,
) -> ModelFacts:
    """Save a model in a format that loads without running code, and return what is known of it.

    `example` has rows of what the model takes, in any form that `Model.predict` takes; columns
    that the model does not use are left out. `features` come before the model and are kept with
    it. `classes` are the labels of a classifier whose framework numbers them. `optional` columns
    may have nulls; by default those with nulls in the example. The model is loaded again, and
    asked about the example.

    Raises:
      DataError: no flavor knows the model, or it cannot be saved, loaded, or asked.
      MissingExtra: the framework is not installed.
    """
    kind = flavors.flavor_named(flavor) if flavor else flavors.flavor_of(model)
    flavors.require(kind)
    os.makedirs(directory, exist_ok=True)
    table = as_table(example)
    signature = Signature(_model_inputs(kind, model, table, features, optional))
    rows = signature.cast(table).slice(0, EXAMPLE_ROWS)
    if not rows.num_rows:
        raise DataError(
            "a model is saved with an example of what it takes, and this one has no rows"
        )
    given = features.transform(rows) if features else rows
    details = kind.save(
        model,
        Saving(
            directory=directory,
            example=given,
            classes=None if classes is None else tuple(classes),
            options=options or {},
        ),
    )
    if features:
        save_features(features, directory)
    if kind.NAME == "tensorflow":
        signature = kind.signature_in(directory) or signature
        rows = signature.cast(table).slice(0, EXAMPLE_ROWS)
    facts = ModelFacts(
        flavor=kind.NAME,
        signature=signature,
        example=rows,
        packages=flavors.installed_versions(kind.PACKAGES),
        details=details,
    )
    predictions = load_from(directory, facts, trusted=code_in(details)).predict(rows)
    facts = replace(facts, signature=Signature(signature.inputs, _outputs(predictions)))
    write_facts(directory, facts)
    return facts


def describe_saved_model(
    directory: str, example: Callable[[], Any] = lambda: None
) -> ModelFacts | None:
    """Return the facts of a model that was saved by other means.

    `example` gives rows of the data that it was trained on, which are kept if they have what the
    model takes. None where no flavor knows the model, or its facts are there already.
    """
    if os.path.exists(os.path.join(directory, FACTS_FILE)):
        return None
    kind = flavors.flavor_in(directory)
    if kind is None:
        return None
    flavors.require(kind)
    signature = kind.signature_in(directory)
    rows = None
    if signature is not None and (given := example()) is not None:
        table = as_table(given)
        with suppress(DataError):
            rows = signature.cast(table).slice(0, EXAMPLE_ROWS)
    return ModelFacts(
        flavor=kind.NAME,
        signature=signature,
        example=rows,
        packages=flavors.installed_versions(kind.PACKAGES),
    )


def _model_inputs(
    flavor: Flavor,
    model: Any,
    table: pa.Table,
    features: FittedFeatures | None,
    optional: Collection[str] | None,
) -> tuple[Column, ...]:
    if features is not None:
        names: Sequence[str] = features.inputs
    else:
        names = flavor.inputs_of(model) or table.schema.names
    missing = [name for name in names if table.schema.get_field_index(name) < 0]
    if missing:
        raise DataError(
            f"the model was trained on a column {missing[0]!r}, which the example has not",
            column=missing[0],
            hint=suggestion(missing[0], table.schema.names, noun="column")
            + " Where columns are made by features, give these with the model.",
        )
    used = table.select(list(names))
    nulls = (
        [name for name in names if used.column(name).null_count] if optional is None else optional
    )
    return columns_of(_with_types(used).schema, optional=nulls)


def _with_types(table: pa.Table) -> pa.Table:
    """Return the table with columns of Arrow's null type as floats: all are missing."""
    arrays = [
        pa.nulls(table.num_rows, pa.float64()) if pa.types.is_null(column.type) else column
        for column in table.columns
    ]
    return pa.table(dict(zip(table.schema.names, arrays, strict=True)))


def _outputs(table: pa.Table) -> tuple[Column, ...]:
    labels = classes_of(table)
    classes = {} if labels is None else {PREDICTION: labels, PROBABILITIES: labels}
    return columns_of(table.schema, classes=classes)
