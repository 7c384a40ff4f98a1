"""What a server keeps over its own end: the routes of each model, and the versions they name."""

from __future__ import annotations

import json
import logging
import os
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from penstock.errors import DataError
from penstock.safety import bounded
from penstock.safety.containment import is_name
from penstock.serving.routes import Routes, Servable

_log = logging.getLogger("penstock.serving")


@dataclass(frozen=True)
class ModelState:
    """The routes of a model, and its versions.

    `followed` is the version that the source of the model gave when this was written: where it
    gives another after a restart, that is served.
    """

    routes: Routes
    versions: tuple[Servable, ...]
    followed: int | None = None


def write_state(folder: Path, model: str, state: ModelState) -> None:
    """Write the state of a model; whoever reads meanwhile finds the former one."""
    content = {
        "routes": state.routes.to_json(),
        "versions": [servable.to_json() for servable in state.versions],
        "followed": state.followed,
    }
    write_json(_path(folder, model), content)


def read_state(folder: Path, model: str) -> ModelState | None:
    """Return the state of a model; None where there is none, or none that can be read."""
    path = _path(folder, model)
    try:
        content = bounded.parse_json(bounded.read_text(path))
        return ModelState(
            routes=Routes.from_json(content["routes"]),
            versions=tuple(Servable.from_json(entry) for entry in content["versions"]),
            followed=content.get("followed"),
        )
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, DataError) as error:
        _log.warning("%s cannot be read, and is not used: %s", path, error)
        return None


def write_json(path: Path, content: Mapping[str, Any], mode: int = 0o600) -> None:
    """Write JSON at once: whoever reads meanwhile finds what was there before."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    handle, part = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".part")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(content, file, indent=2)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(part, mode)
        os.replace(part, path)
    except OSError as error:
        # A full disk should not be filled further, and does not say itself which one it is.
        with suppress(OSError):
            os.unlink(part)
        error.filename = error.filename or str(path)
        raise


def _path(folder: Path, model: str) -> Path:
    assert is_name(model), model
    return folder / f"{model}.json"
