"""What the numbers of a SavedModel's outputs stand for, which its signature cannot say.

assets.extra/penstock_classes.json    {"outputs": ["Adelie", "Chinstrap", "Gentoo"]}
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from typing import Any

from penstock.errors import DataError
from penstock.safety import bounded

CLASSES_FILE = os.path.join("assets.extra", "penstock_classes.json")


def name_classes(directory: str, classes: Sequence[Any], *, output: str = "outputs") -> None:
    """Write the classes that an output of a SavedModel gives the probabilities of, in their order.

    `directory` is where the model was saved to, before or after. An output of one number a row is
    the probability of the second of two classes. What serves is as it was; `penstock predict` names
    classes and probabilities.
    """
    path = os.path.join(directory, CLASSES_FILE)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    plain = [value.item() if hasattr(value, "item") else value for value in classes]
    named = {**read_classes(directory), output: plain}
    with open(path, "w", encoding="utf-8") as file:
        json.dump(named, file, ensure_ascii=False, indent=1)
        file.write("\n")


def read_classes(directory: str) -> Mapping[str, Sequence[Any]]:
    """Return the classes of outputs, by output; nothing where nobody has named them.

    Raises:
      DataError: the file is something else.
    """
    path = os.path.join(directory, CLASSES_FILE)
    if not os.path.isfile(path):
        return {}
    try:
        content = bounded.parse_json(bounded.read_text(path))
    except ValueError as error:
        raise DataError(f"expected classes by output, as JSON: {error}", path=path) from error
    if not isinstance(content, dict) or not all(map(_are_classes, content.values())):
        raise DataError(
            "expected an object of lists of texts or numbers, by output",
            path=path,
            hint="Write it with penstock.models.name_classes.",
        )
    return content


def _are_classes(values: Any) -> bool:
    return isinstance(values, list) and all(isinstance(v, (str, int, float)) for v in values)
