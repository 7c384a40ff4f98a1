"""The pages as an application, and their server."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Sequence
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.routing import Route

from penstock.errors import ConfigError
from penstock.metadata.protocol import Store
from penstock.surfaces.ui.access import Access
from penstock.surfaces.ui.alerted import AlertPages
from penstock.surfaces.ui.delivered import DeliveredPages
from penstock.surfaces.ui.monitored import MonitorPages
from penstock.surfaces.ui.pages import Limit, Pages
from penstock.surfaces.ui.released import ReleasedPages

ADDRESS = "127.0.0.1"


def application(
    store: Store, token: str, where: str = "", monitors: Sequence[str] = (), code: str = ""
) -> Access:
    """Return the pages over a store as an ASGI application; `where` says which store it is.

    `monitors` are those of penstock.toml, which the store may not know yet. `code` lets in once.
    """
    pages = Pages(store, where)
    delivered = DeliveredPages(pages.store, pages.rendered)
    released = ReleasedPages(pages.store, pages.rendered)
    alerted = AlertPages(pages.store, pages.rendered)
    monitored = MonitorPages(pages.store, pages.rendered, monitors)
    # What a page asks for again and again waits for nothing that may take long, and the pages that
    # are read from the store alone do not wait for reports, whose files may come from far away.
    states, lists, reports = Limit(4), Limit(16), Limit(4)
    routes = {
        "/": (pages.runs, lists),
        "/state": (pages.runs_state, states),
        "/compare": (pages.compare, reports),
        "/runs/{run}": (pages.run, reports),
        "/runs/{run}/state": (pages.run_state, states),
        "/runs/{run}/report": (pages.report, reports),
        "/runs/{run}/nodes/{node}": (pages.node, lists),
        "/runs/{run}/nodes/{node}/state": (pages.node_state, states),
        "/runs/{run}/nodes/{node}/log": (pages.log, lists),
        "/artifacts/{artifact:int}": (pages.artifact, lists),
        "/models": (delivered.models, lists),
        "/models/{model}": (delivered.model, lists),
        "/models/{model}/{version}": (delivered.version, lists),
        "/deployments": (delivered.deployments, lists),
        "/deployments/{environment}/{pipeline}/{number:int}": (delivered.deployment, lists),
        "/releases": (released.releases, lists),
        "/releases/{deployment}/{number:int}": (released.release, lists),
        "/monitors": (monitored.monitors, lists),
        "/monitors/{monitor}": (monitored.monitor, reports),
        "/alerts": (alerted.alerts, lists),
        "/alerts/{place:path}": (alerted.alert, lists),
    }
    return Access(
        Starlette(
            routes=[Route(path, pages.answering(*answered)) for path, answered in routes.items()]
        ),
        token,
        code,
    )


class Server(uvicorn.Server):
    """Serves an application to this machine; a port of 0 is any that is free.

    `announce` is told the address, with the token, once it works.
    """

    def __init__(self, access: Access, port: int, announce: Callable[[str], None]) -> None:
        super().__init__(
            uvicorn.Config(
                access,
                log_level="warning",
                access_log=False,
                server_header=False,
            )
        )
        self._port = port
        self._token = access.token
        self._announce = announce

    def run(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve until it is told to end.

        Raises:
          ConfigError: the port cannot be used.
        """
        super().run(sockets or [_listening(self._port)])

    async def startup(self, sockets: Any = None) -> None:
        """Start, and tell the address."""
        await super().startup(sockets)
        if self.started:
            [listening, *_] = self.servers[0].sockets
            port = listening.getsockname()[1]
            self._announce(f"http://{ADDRESS}:{port}/?token={self._token}")


def _listening(port: int) -> socket.socket:
    try:
        return socket.create_server((ADDRESS, port))
    except OSError as error:
        raise ConfigError(
            f"port {port} of this machine cannot be used: {os.strerror(error.errno or 0)}",
            hint="Give another --port, or none: then it is any that is free.",
        ) from error
