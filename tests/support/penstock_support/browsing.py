"""Pages in a headless Chromium of the system, with all that they complain about."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from penstock_support import servers


@dataclass
class Watched:
    """A page, what it wrote to its console, and what it asked for."""

    page: Any
    complaints: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def violations(self) -> list[str]:
        """Return which of axe-core's rules the page breaks, and where."""
        from axe_playwright_python.sync_playwright import Axe

        found = Axe().run(self.page).response["violations"]
        return [f"{v['id']}: {n['html']}" for v in found for n in v["nodes"]]


@contextmanager
def browser() -> Iterator[Any]:
    """Start a browser."""
    from playwright.sync_api import sync_playwright

    path = servers.program("chromium")
    with sync_playwright() as playwright:
        # Containers have neither its sandbox's rights nor much shared memory.
        arguments = ["--no-sandbox", "--disable-dev-shm-usage"]
        started = playwright.chromium.launch(executable_path=path, args=arguments)
        yield started
        started.close()


@contextmanager
def watched(started: Any, **options: Any) -> Iterator[Watched]:
    """Open an empty page whose errors and requests are written down."""
    context = started.new_context(**options)
    found = Watched(context.new_page())
    found.page.on("console", lambda m: found.complaints.append(f"{m.type}: {m.text}"))
    found.page.on("pageerror", lambda error: found.complaints.append(str(error)))
    found.page.on("request", lambda request: found.requests.append(request.url))
    yield found
    context.close()
