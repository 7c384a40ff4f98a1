"""Reading hyperparameters, as TFX's Tuner writes them."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from penstock.errors import DataError


def read_hyperparameters(directory: str) -> dict[str, Any]:
    """Return the values by name: those of KerasTuner's configuration, or the JSON object itself.

    Raises:
      DataError: there is not one JSON file with an object.
    """
    content = read_hyperparameters_file(directory)
    if not isinstance(content, dict):
        raise DataError("expected hyperparameters by name in a JSON object", path=directory)
    values = content.get("values")
    return dict(values) if "space" in content and isinstance(values, dict) else dict(content)


def read_hyperparameters_file(directory: str) -> Any:
    """Return what is in the one JSON file of a HyperParameters artifact."""
    return json.loads(Path(only_file(directory)).read_text())


def only_file(directory: str) -> str:
    """Return the path of the one file of a directory.

    Raises:
      DataError: there are more, or none.
    """
    files = sorted(os.listdir(directory))
    if len(files) != 1:
        raise DataError(
            f"expected one file, found {len(files)}: {', '.join(files)}", path=directory
        )
    return os.path.join(directory, files[0])
