"""What a release has to ask others: numbers of the business, and evidence that no target gives."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from penstock.errors import DataError, PenstockError
from penstock.metadata import alerts
from penstock.metadata.protocol import Store
from penstock.operations.releases.gates import Business, Measure
from penstock.operations.releases.records import Release
from penstock.operations.releases.targets.requests import Service, said
from penstock.project import keras
from penstock.project.deployments import Deployment, EvidenceSource
from penstock.serving.evidence import Evidence

_SECONDS = 60.0


class _Place(Protocol):
    @property
    def command(self) -> tuple[str, ...]: ...
    @property
    def file(self) -> str: ...
    @property
    def url(self) -> str: ...


def business(deployment: Deployment, release: Release, folder: Path) -> tuple[Business, list[str]]:
    """Return the numbers of the business by version, and why some of them are not there."""
    found: dict[str, Mapping[int, Measure]] = {}
    problems = []
    for name, gate in deployment.gates.business.items():
        try:
            found[name] = _measures(_content(gate, release, folder))
        except PenstockError as error:
            problems.append(f"{name}: {error}")
    return found, problems


def raised(store: Store, names: Iterable[str], since: datetime) -> dict[str, str]:
    """Return what the last alert of each name says that was raised since; notices do not count."""
    found = {}
    for name in names:
        for alert in alerts.alerts(store, name, changed_since=since):
            if alert.at >= since and alert.severity != "info":
                found[name] = alert.summary
    return found


def evidence_of(source: EvidenceSource, release: Release, folder: Path) -> Evidence | None:
    """Return evidence from elsewhere, None where there is no such place.

    A command is told since when and of which routes; what it gives need not repeat their token.

    Raises:
      DataError: what is there is no evidence.
    """
    if not (source.command or source.file or source.url):
        return None
    content = _content(source, release, folder)
    if not isinstance(content, Mapping):
        raise DataError(f"expected an object with answers, got {content!r:.60}")
    token = release.shift.token if release.shift is not None else ""
    told = {"seconds": 0.0, "compared": {}, "answers": {}, **content}
    if source.command:
        told.setdefault("token", token)
    try:
        return Evidence.from_json({"token": "", **told})
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataError(f"expected evidence as a server gives it, got {error!r:.80}") from None


def _content(place: _Place, release: Release, folder: Path) -> Any:
    if place.command:
        return _parsed(_output(place.command, release, folder), " ".join(place.command))
    if place.file:
        try:
            return _parsed(Path(place.file).read_bytes(), place.file)
        except OSError as error:
            raise DataError(f"it cannot be read: {error.strerror}", path=place.file) from None
    status, answer = Service(place.url, seconds=_SECONDS).ask("GET", "")
    if status != 200:
        raise DataError(f"{place.url} answers with status {status}: {said(answer)}")
    return answer


def _output(command: tuple[str, ...], release: Release, folder: Path) -> bytes:
    shift, since = release.shift, release.stage_since
    told = {
        "PENSTOCK_MODEL": release.model,
        "PENSTOCK_CANDIDATE": str(release.candidate),
        "PENSTOCK_PRODUCTION": str(release.production or ""),
        "PENSTOCK_SINCE": since.isoformat() if since is not None else "",
        "PENSTOCK_TOKEN": shift.token if shift is not None else "",
    }
    shown = " ".join(command)
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            env={**keras.child_environment(), **told},
            capture_output=True,
            timeout=_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise DataError(f"{shown} has not ended within {_SECONDS:g} s") from None
    except OSError as error:
        raise DataError(f"{shown} cannot be started: {error.strerror}") from None
    if done.returncode:
        told_text = done.stderr.decode(errors="replace").strip()[-300:]
        raise DataError(f"{shown} has ended with status {done.returncode}: {told_text}")
    return done.stdout


def _parsed(content: bytes, where: str) -> Any:
    try:
        return json.loads(content)
    except ValueError as error:
        raise DataError(f"expected JSON, got {content[:60]!r}: {error}", path=where) from None


def _measures(content: Any) -> dict[int, Measure]:
    if not isinstance(content, Mapping):
        raise DataError(f"expected an object with a number for each version, got {content!r:.60}")
    found = {}
    for version, entry in content.items():
        if not str(version).isdecimal():
            raise DataError(f"expected the numbers of versions, got {version!r:.60}")
        fields = entry if isinstance(entry, Mapping) else {"value": entry}
        numbers = {key: fields.get(key) for key in ("value", "lower", "upper")}
        known = {key: value for key, value in numbers.items() if value is not None}
        if "value" not in known or not all(_is_number(value) for value in known.values()):
            raise DataError(
                f"expected a number for version {version}, or value, lower and upper, got "
                f"{entry!r:.60}"
            )
        found[int(version)] = Measure(**known)
    return found


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
