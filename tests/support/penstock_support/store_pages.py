"""Pages of the live page over a store, and what stands on them."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from penstock.metadata.store import connect, connection_config

if TYPE_CHECKING:
    from starlette.testclient import TestClient

TOKEN = "the-right-token"


def pages_of(store: Any, address: str = "", monitors: Sequence[str] = ()) -> TestClient:
    """Return a client that is let in."""
    from starlette.testclient import TestClient

    from penstock.surfaces.ui.app import application

    pages = application(store, TOKEN, address, monitors)
    client = TestClient(pages, base_url="http://127.0.0.1:8123")
    client.cookies.set("penstock-8123", TOKEN)
    return client


def text(pages: TestClient, path: str) -> str:
    """Return a page with single spaces."""
    answer = pages.get(path)
    assert answer.status_code == 200, answer.text
    return " ".join(answer.text.split())


@contextmanager
def served(address: str) -> Iterator[str]:
    """Serve the pages over a store, and give their address with the token."""
    from penstock.surfaces.ui.app import Server, application

    announced: list[str] = []
    known = threading.Event()

    def announce(page: str) -> None:
        announced.append(page)
        known.set()

    with connect(connection_config(address), create=False) as metadata:
        server = Server(application(metadata.store, TOKEN, address), 0, announce)
        thread = threading.Thread(target=server.run)
        thread.start()
        try:
            assert known.wait(30)
            yield announced[0]
        finally:
            server.should_exit = True
            thread.join()
