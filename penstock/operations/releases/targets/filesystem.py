"""A folder that TensorFlow Serving watches: versions by number, and labels in its model_config.

The server answers a request without a label by the highest number that is loaded. So callers ask
for the label `stable`, and those who want the new version for `canary`: who gets which share is
theirs, or their proxy's. What was told last stands in a comment of the file, to be read back.
"""

from __future__ import annotations

import filecmp
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex
from typing import Any

from penstock.data.files import remote
from penstock.errors import DataError, StorageError
from penstock.operations.releases.targets.protocol import (
    FAILED,
    LOADING,
    READY,
    AwayError,
    Standing,
    TargetError,
)
from penstock.operations.releases.targets.requests import Service, said
from penstock.safety import bounded
from penstock.safety.locks import lock
from penstock.safety.opening import open_below, replace_below
from penstock.serving.evidence import Evidence
from penstock.serving.routes import CANARY, Routes, Servable

CONFIG_FILE = "models.config"
STABLE, NEW = "stable", "canary"

_MARK = "# penstock: "
_LOCK_SECONDS = 10.0


@dataclass(frozen=True)
class ServingFolder:
    """A model in a folder of models, and the model_config file of the server.

    `base_path` is where the server sees the folder of this model. With `url`, the address of its
    REST API, a version is ready when the server says so; without, when its files are there.
    """

    model: str
    folder: str
    config: str = ""
    base_path: str = ""
    url: str = ""

    @property
    def roles(self) -> frozenset[str]:
        """A canary, by its label; nobody copies requests."""
        return frozenset({CANARY})

    def describe(self) -> Standing:
        """Return what the file says, and which versions it names."""
        known = self._read().get(self.model)
        if known is None:
            return Standing()
        versions = {number: self._state(number) for number in known["versions"]}
        routes = known["routes"]
        return Standing(Routes.from_json(routes) if routes else None, versions)

    def prepare(self, servable: Servable) -> str:
        """Put a version's files beside the others, and have the server load it."""
        self._place(servable)
        with self._changing() as known:
            mine = known.setdefault(self.model, {"routes": None, "versions": []})
            if servable.version not in mine["versions"]:
                mine["versions"] = sorted([*mine["versions"], servable.version])
        return self._state(servable.version)

    def shift(self, routes: Routes) -> None:
        """Let labels stand for other versions."""
        with self._changing() as known:
            mine = known.get(self.model, {"versions": []})
            for number in routes.versions():
                if number not in mine["versions"]:
                    raise TargetError(f"version {number} of {self.model} is not in the folder")
            known[self.model] = {**mine, "routes": routes.to_json()}

    def evidence(self) -> Evidence | None:
        """Return None: the server does not say what each version has answered."""
        return None

    def remove(self, version: int) -> None:
        """Have the server unload a version; its files stay, so that it can be brought back."""
        with self._changing() as known:
            mine = known.get(self.model)
            if mine is None or version not in mine["versions"]:
                return
            if mine["routes"] and version in Routes.from_json(mine["routes"]).versions():
                raise TargetError(f"version {version} of {self.model} has a label")
            mine["versions"] = [number for number in mine["versions"] if number != version]

    @property
    def _path(self) -> Path:
        return Path(self.config or os.path.join(self.folder, CONFIG_FILE))

    def _place(self, servable: Servable) -> None:
        """Copy a version's files, whole or not at all."""
        to = Path(self.folder, self.model, str(servable.version))
        if to.exists():
            if not remote.is_remote(servable.path) and not _is_same(Path(servable.path), to):
                raise TargetError(
                    f"{to} has other files than version {servable.version} of {self.model}",
                    hint="Somebody else pushes there: give releases a folder of their own.",
                )
            return
        try:
            to.parent.mkdir(parents=True, exist_ok=True)
            part = to.with_name(f".{servable.version}-{token_hex(8)}")
            part.mkdir()
        except OSError as error:
            raise AwayError(f"{to.parent} cannot be written: {error.strerror}") from None
        try:
            if remote.is_remote(servable.path):
                remote.fetch(servable.path, str(part / "model"))
            else:
                shutil.copytree(servable.path, part / "model")
            os.chmod(part / "model", 0o755)
            os.rename(part / "model", to)
        except (OSError, StorageError) as error:
            if not to.exists():  # somebody else may have placed it meanwhile
                raise AwayError(f"{to} cannot be written: {error}") from None
        finally:
            shutil.rmtree(part, ignore_errors=True)

    def _state(self, number: int) -> str:
        if not self.url:
            return READY
        path = f"/v1/models/{self.model}/versions/{number}"
        status, answer = Service(self.url).ask("GET", path)
        if status == 404:
            return LOADING
        if status != 200:
            raise AwayError(f"{self.url} answers with status {status}: {said(answer)}")
        told = [one for one in answer["model_version_status"] if one["version"] == str(number)]
        if not told:
            return LOADING
        if told[0]["state"] == "AVAILABLE":
            return READY
        code = told[0].get("status", {}).get("error_code", "OK")
        return FAILED if told[0]["state"] == "END" and code != "OK" else LOADING

    def _read(self) -> dict[str, Any]:
        try:
            text = bounded.read_text(self._path)
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise AwayError(f"{self._path} cannot be read: {error.strerror}") from None
        except (DataError, UnicodeDecodeError) as error:
            raise _unknown(self._path, error) from None
        first = text.partition("\n")[0]
        try:
            if not first.startswith(_MARK):
                raise ValueError("it was not written by a release")
            known: dict[str, Any] = bounded.parse_json(first.removeprefix(_MARK))
            return known
        except (ValueError, DataError) as error:
            raise _unknown(self._path, error) from None

    @contextmanager
    def _changing(self) -> Iterator[dict[str, Any]]:
        """Read what the file says, and write it where it was changed, one process at a time."""
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            lock_file = self._path.with_name(f".{self._path.name}.lock")
            with open_below(str(self._path.parent), str(lock_file), "a") as file:
                if not lock(file.fileno(), _LOCK_SECONDS):
                    raise AwayError(f"another process writes {self._path}")
                known = self._read()
                before = json.dumps(known, sort_keys=True)
                yield known
                if json.dumps(known, sort_keys=True) != before:
                    config = str(self._path)
                    replace_below(os.path.dirname(config), config, self._text(known), lasting=True)
        except OSError as error:
            raise AwayError(f"{self._path} cannot be written: {error.strerror}") from None

    def _text(self, known: Mapping[str, Any]) -> str:
        lines = [f"{_MARK}{json.dumps(known, sort_keys=True)}", "model_config_list {"]
        for model, entry in sorted(known.items()):
            if not entry["versions"]:
                continue
            base_path = entry.get("base_path") or str(Path(self.folder, model).absolute())
            if model == self.model:
                base_path = self.base_path or str(Path(self.folder, model).absolute())
                entry["base_path"] = base_path
            lines += _config(model, base_path, entry)
        lines.append("}")
        lines[0] = f"{_MARK}{json.dumps(known, sort_keys=True)}"
        return "\n".join(lines) + "\n"


def _config(model: str, base_path: str, entry: Mapping[str, Any]) -> list[str]:
    lines = [
        "  config {",
        f"    name: {json.dumps(model)}",
        f"    base_path: {json.dumps(base_path)}",
        '    model_platform: "tensorflow"',
        "    model_version_policy {",
        "      specific {",
        *(f"        versions: {number}" for number in entry["versions"]),
        "      }",
        "    }",
    ]
    routes = Routes.from_json(entry["routes"]) if entry["routes"] else None
    if routes is not None:
        labels = {STABLE: routes.production}
        # Who asks for the new version while there is none gets the one that serves.
        labels[NEW] = routes.canary.version if routes.canary else routes.production
        for label, number in labels.items():
            lines += [
                "    version_labels {",
                f"      key: {json.dumps(label)}",
                f"      value: {number}",
                "    }",
            ]
    return [*lines, "  }"]


def _is_same(one: Path, other: Path) -> bool:
    """Whether two folders have the same files."""
    names = [
        sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
        for folder in (one, other)
    ]
    return names[0] == names[1] and all(
        filecmp.cmp(one / name, other / name, shallow=False) for name in names[0]
    )


def _unknown(path: Path, error: Exception) -> TargetError:
    return TargetError(
        f"{path} is not known: {error}",
        hint="Give releases a model_config file of their own.",
    )
