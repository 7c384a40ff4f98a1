"""A double of where a model serves, which keeps what it was asked in a folder."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from penstock.operations.releases.targets.protocol import (
    FAILED,
    LOADING,
    READY,
    AwayError,
    Standing,
    TargetError,
)
from penstock.serving.evidence import Answers, Comparison, Evidence
from penstock.serving.routes import CANARY, SHADOW, Routes, Servable

_TOKEN = re.compile(r"[0-9a-f]{24}")


@dataclass(frozen=True)
class FakeTarget:
    """A `Target` of releases that serves nothing, and is strict.

    What it knows is a file of a folder, so that processes can share it and be killed. Routes whose
    token is none, or stands for other routes, are refused; so are routes to versions that are not
    ready, and the removal of one that serves. `serve` says what serves to begin with, `see` what
    is seen of the versions by their roles, `load` how a version loads, and `away` that it does not
    answer.
    """

    folder: Path
    roles: frozenset[str] = frozenset({CANARY, SHADOW})

    def describe(self) -> Standing:
        """Return how it stands."""
        known = self._known()
        routes = known["routes"]
        return Standing(
            Routes.from_json(routes) if routes else None,
            {int(number): state for number, state in known["versions"].items()},
            {int(number): reason for number, reason in known["reasons"].items()},
        )

    def prepare(self, servable: Servable) -> str:
        """Have a version loaded, as `load` says."""
        known = self._asked(f"prepare {servable.version}")
        number = str(servable.version)
        if known["versions"].get(number) != READY:
            known["versions"][number] = known["loads"].get(number, READY)
        self._write(known)
        return str(known["versions"][number])

    def shift(self, routes: Routes) -> None:
        """Let other versions answer."""
        shares = [f"{s.version} {s.percent:g}%" for s in (routes.canary, routes.shadow) if s]
        known = self._asked(f"shift {' '.join([str(routes.production), *shares])}")
        if not _TOKEN.fullmatch(routes.token):
            raise TargetError(f"{routes.token!r} is no token of a step")
        earlier = known["tokens"].get(routes.token)
        if earlier is not None and earlier != routes.to_json():
            raise TargetError(f"token {routes.token} stands for other routes: {earlier}")
        for number in routes.versions():
            if known["versions"].get(str(number)) != READY:
                raise TargetError(f"version {number} is not ready")
        known["tokens"][routes.token] = routes.to_json()
        known["routes"] = routes.to_json()
        self._write(known)

    def evidence(self) -> Evidence | None:
        """Return what `see` has said, as if it were of the routes as they are."""
        known = self._known()
        if known["evidence"] is None or known["routes"] is None:
            return None
        return replace(Evidence.from_json(known["evidence"]), token=known["routes"]["token"])

    def remove(self, version: int) -> None:
        """Take a version away."""
        known = self._asked(f"remove {version}")
        if known["routes"] and version in Routes.from_json(known["routes"]).versions():
            raise TargetError(f"version {version} serves")
        known["versions"].pop(str(version), None)
        self._write(known)

    def serve(self, version: int) -> None:
        """Let a version serve, as if it had before any release."""
        known = self._known()
        known["versions"][str(version)] = READY
        known["routes"] = Routes(version, token="before").to_json()
        self._write(known)

    def see(
        self, answers: Mapping[str, Answers] | None, compared: Comparison | None = None
    ) -> None:
        """Say what is seen of versions by their roles; None that nothing is."""
        seen = Evidence("", 60.0, answers or {}, compared or Comparison())
        self._write({**self._known(), "evidence": seen.to_json() if answers is not None else None})

    def load(self, version: int, state: str, reason: str = "") -> None:
        """Say how a version loads: ready, loading, failed."""
        assert state in (READY, LOADING, FAILED), state
        known = self._known()
        known["loads"][str(version)] = state
        known["reasons"][str(version)] = reason
        self._write(known)

    def away(self, is_away: bool = True) -> None:
        """Say that it does not answer, or does again."""
        self._write({**self._read(), "away": is_away})

    @property
    def asked(self) -> list[str]:
        """All that has changed something, or would have, in its order: `shift 1 2 5%`."""
        path = self.folder / "asked.log"
        return path.read_text(encoding="utf-8").splitlines() if path.exists() else []

    def _asked(self, what: str) -> dict[str, Any]:
        known = self._known()
        self.folder.mkdir(parents=True, exist_ok=True)
        # Short lines are appended whole, whoever else appends.
        with open(self.folder / "asked.log", "a", encoding="utf-8") as file:
            file.write(f"{what}\n")
        return known

    def _known(self) -> dict[str, Any]:
        known = self._read()
        if known["away"]:
            raise AwayError("the target does not answer")
        return known

    def _read(self) -> dict[str, Any]:
        path = self.folder / "target.json"
        if not path.exists():
            return {
                "routes": None,
                "versions": {},
                "reasons": {},
                "loads": {},
                "tokens": {},
                "evidence": None,
                "away": False,
            }
        known: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return known

    def _write(self, known: Mapping[str, Any]) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        part = self.folder / ".target.json"
        part.write_text(json.dumps(known), encoding="utf-8")
        part.replace(self.folder / "target.json")
