"""Pages of the live page over a store, and what stands on them."""

from __future__ import annotations

from typing import Any

from starlette.testclient import TestClient

from penstock.surfaces.ui.app import application

TOKEN = "the-right-token"


def pages_of(store: Any, address: str = "") -> TestClient:
    """Return a client that is let in."""
    client = TestClient(application(store, TOKEN, address), base_url="http://127.0.0.1:8123")
    client.cookies.set("penstock-8123", TOKEN)
    return client


def text(pages: TestClient, path: str) -> str:
    """Return a page with single spaces."""
    answer = pages.get(path)
    assert answer.status_code == 200, answer.text
    return " ".join(answer.text.split())
