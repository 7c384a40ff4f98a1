"""Pages of monitors: what they saw of each model, window by window."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response

from penstock.errors import RunError
from penstock.metadata.protocol import Store
from penstock.operations.monitors import records
from penstock.operations.monitors.seen import look
from penstock.report.monitor_sections import MOST_CHARTS, MOST_CHARTS_OF_ALL, sections
from penstock.report.wording import utc_minute

_FEW_WINDOWS = 30
_MOST_WINDOWS = 400


@dataclass(frozen=True)
class MonitorPages:
    """Pages over a store; `page` renders a template, `named` are monitors of penstock.toml."""

    store: Store
    page: Callable[..., Response]
    named: Sequence[str] = ()

    def monitors(self, request: Request) -> Response:
        """List the monitors, with the newest window of each and its open alerts."""
        now = datetime.now(UTC)
        names = self._names()
        seen = [look(self.store, name, now, last=1, reads=False) for name in names]
        return self.page("monitors.html", monitors=seen, moment=utc_minute)

    def monitor(self, request: Request) -> Response:
        """Show what a monitor saw in its last windows, or in all."""
        name = request.path_params["monitor"]
        if name not in self._names():
            raise RunError(f"there is no monitor {name}")
        asked = request.query_params
        words, last = asked.get("q", "").strip(), asked.get("last", "")
        draws_all = asked.get("charts") == "all"
        most = _MOST_WINDOWS if last == "all" else _FEW_WINDOWS
        seen = look(self.store, name, datetime.now(UTC), last=most)
        shown = sections(seen, words=words, most=MOST_CHARTS_OF_ALL if draws_all else MOST_CHARTS)
        return self.page(
            "monitor.html",
            seen=seen,
            sections=shown,
            q=words,
            last=last,
            few=_FEW_WINDOWS,
            moment=utc_minute,
            alert_links="/alerts/{}",
            run_links="/runs/{}",
            all_link="" if draws_all else f"?{urlencode({**asked, 'charts': 'all'})}",
        )

    def _names(self) -> list[str]:
        return sorted({*self.named, *records.window_counts(self.store)})
