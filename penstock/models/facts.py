"""What is known of a saved model: one JSON file beside the model's own files."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from penstock.errors import DataError
from penstock.models.json_rows import rows_as_json, value_of_json
from penstock.models.signature import Signature
from penstock.safety import bounded

FACTS_FILE = "penstock_model.json"
FORMAT = 1


@dataclass(frozen=True)
class ModelFacts:
    """A model's flavor, its signature, an example of what it takes, and what it needs.

    `packages` are distributions with the versions that the model was saved with. `details` are
    the flavor's own.
    """

    flavor: str
    signature: Signature | None
    example: pa.Table | None = None
    packages: Mapping[str, str] = field(default_factory=dict)
    details: Mapping[str, Any] = field(default_factory=dict)


def write_facts(directory: str, facts: ModelFacts) -> None:
    """Write the facts of the model in a directory."""
    content = {
        "format": FORMAT,
        "flavor": facts.flavor,
        "signature": facts.signature and facts.signature.to_json(),
        "packages": dict(sorted(facts.packages.items())),
        "details": dict(facts.details),
        "example": None if facts.example is None else rows_as_json(facts.example),
    }
    with open(os.path.join(directory, FACTS_FILE), "w", encoding="utf-8") as file:
        json.dump(content, file, indent=1, ensure_ascii=False)
        file.write("\n")


def read_facts(directory: str) -> ModelFacts | None:
    """Return the facts of the model in a directory; None where there are none.

    Raises:
      DataError: the file is there, and not one of ours.
    """
    path = os.path.join(directory, FACTS_FILE)
    if not os.path.isfile(path):
        return None
    try:
        content = bounded.parse_json(bounded.read_text(path))
        if content["format"] > FORMAT:
            raise DataError(
                f"the model was saved by a newer Penstock: its facts have format "
                f"{content['format']}, and this one reads up to {FORMAT}",
                path=path,
                hint="Update penstock.",
            )
        signature = content["signature"] and Signature.from_json(content["signature"])
        return ModelFacts(
            flavor=str(content["flavor"]),
            signature=signature,
            example=_table(content["example"], signature) if signature else None,
            packages=dict(content["packages"]),
            details=dict(content["details"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError, pa.ArrowException) as error:
        raise DataError(
            f"expected the facts of a model, as Penstock writes them: {type(error).__name__}: "
            f"{error}",
            path=path,
            hint="Save the model again, or remove the file to load the model by its format alone.",
        ) from error


def _table(rows: Any, signature: Signature) -> pa.Table | None:
    if rows is None:
        return None
    return pa.Table.from_arrays(
        [
            pa.array([_value(row.get(c.name)) for row in rows], c.arrow_type)
            for c in signature.inputs
        ],
        schema=pa.schema([pa.field(c.name, c.arrow_type) for c in signature.inputs]),
    )


def _value(value: Any) -> Any:
    try:
        return value_of_json(value)
    except DataError as error:
        raise ValueError(error.message) from error
