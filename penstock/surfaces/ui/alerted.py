"""Pages of alerts: what is open, what was measured, and who was told of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from starlette.requests import Request
from starlette.responses import Response

from penstock.errors import RunError
from penstock.metadata.alerts import raised_alerts
from penstock.metadata.protocol import Store
from penstock.operations.alerts.messages import measures_as_text
from penstock.operations.alerts.notices import notices_of
from penstock.operations.alerts.silences import silence_of, silences
from penstock.report.wording import recorded

_MOST_ALERTS = 200
# Of the data these are shown as what they are.
_SHOWN = ("measures", "subjects", "who", "monitor", "kind")


@dataclass(frozen=True)
class AlertPages:
    """Pages over a store; `page` renders a template with what it is to show."""

    store: Store
    page: Callable[..., Response]

    def alerts(self, request: Request) -> Response:
        """List the alerts, those that are open before the others, and the newest first."""
        now, known = datetime.now(UTC), silences(self.store)
        found = list(reversed(raised_alerts(self.store)))
        found.sort(key=lambda raised: not raised.is_open)
        listed = [
            (raised, silence_of(raised, known, now) if raised.is_open else None)
            for raised in found[:_MOST_ALERTS]
        ]
        holding = [each for each in known if each.holds(now)]
        return self.page("alerts.html", alerts=listed, silences=holding)

    def alert(self, request: Request) -> Response:
        """Show an alert: what was measured, what was added, its end, and who was told."""
        place = request.path_params["place"]
        found = raised_alerts(self.store)
        one = next((r for r in found if f"{r.alert.name}/{r.alert.key}" == place), None)
        if one is None:
            raise RunError(f"there is no alert {place}")
        now = datetime.now(UTC)
        return self.page(
            "alert.html",
            one=one,
            silence=silence_of(one, silences(self.store), now) if one.is_open else None,
            measures=measures_as_text(one.alert.data.get("measures")),
            data={name: value for name, value in one.alert.data.items() if name not in _SHOWN},
            told=notices_of(self.store, one),
            shown=recorded,
        )
