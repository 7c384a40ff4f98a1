"""A server of `penstock serve`, which is also the router of a shadow and a canary."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from penstock.errors import DataError
from penstock.operations.releases.targets.protocol import AwayError, Standing, TargetError
from penstock.operations.releases.targets.requests import Service, said
from penstock.safety import bounded
from penstock.serving.evidence import Evidence
from penstock.serving.routes import CANARY, SHADOW, Routes, Servable

SERVER_FILE = "server.json"


@dataclass(frozen=True)
class LocalServer:
    """A model of a server that is reached by the file in its folder, or by address and token.

    The file is read each time: a server that was started again has another address and token.
    """

    model: str
    folder: str = ""
    url: str = ""
    token: str = ""
    seconds: float = 30.0

    @property
    def roles(self) -> frozenset[str]:
        """A shadow and a canary."""
        return frozenset({CANARY, SHADOW})

    def describe(self) -> Standing:
        """Return its routes, and the versions that it has."""
        return _standing(self._ask("GET", ""))

    def prepare(self, servable: Servable) -> str:
        """Have a version loaded and warmed up."""
        content = self._ask("PUT", f"/versions/{servable.version}", servable.to_json())
        return _standing(content).versions.get(servable.version, "loading")

    def shift(self, routes: Routes) -> None:
        """Let versions answer from the next request on."""
        self._ask("PUT", "/routes", routes.to_json())

    def evidence(self) -> Evidence | None:
        """Return what the server has counted."""
        return Evidence.from_json(self._ask("GET", "/evidence"))

    def remove(self, version: int) -> None:
        """Drain a version and end its processes."""
        self._ask("DELETE", f"/versions/{version}")

    def _ask(self, method: str, path: str, content: Any = None) -> Any:
        service = self._service()
        status, answer = service.ask(method, f"/penstock/v1/models/{self.model}{path}", content)
        if status in (401, 403):
            # A server that was started again has another token, which is in its file by now.
            raise AwayError(f"{service.url} does not take our token: {said(answer)}")
        if status >= 300:
            raise TargetError(f"the server refuses it: {said(answer)}")
        return answer

    def _service(self) -> Service:
        if self.url:
            return Service(self.url, self.token, seconds=self.seconds)
        path = Path(self.folder) / SERVER_FILE
        try:
            known = bounded.parse_json(bounded.read_text(path))
            return Service(known["url"], known["token"], seconds=self.seconds)
        except (OSError, ValueError, LookupError, TypeError, DataError):
            raise AwayError(
                f"no server runs that keeps its state in {self.folder}",
                hint=f"Start it: penstock serve {self.model}@champion --state {self.folder}.",
            ) from None


def _standing(content: Any) -> Standing:
    routes = content["routes"]
    states = {int(number): version for number, version in content["versions"].items()}
    return Standing(
        Routes.from_json(routes) if routes else None,
        {number: version["state"] for number, version in states.items()},
        {number: version["reason"] for number, version in states.items()},
    )
