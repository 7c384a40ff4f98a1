"""When a run began and ended that nobody recorded while it went: properties of its context."""

from __future__ import annotations

import math
from datetime import datetime

from penstock import _tfx
from penstock.metadata.protocol import Store
from penstock.metadata.reading import run_context
from penstock.metadata.rows import time_of

_BEGAN, _ENDED = "began", "ended"


def record_times(store: Store, run_id: str, began: datetime, ended: datetime) -> None:
    """Write into a run's context when it began and ended."""
    context = run_context(store, run_id)
    for name, at in ((_BEGAN, began), (_ENDED, ended)):
        context.custom_properties[name].double_value = at.timestamp()
    store.put_contexts([context])


def read_times(context: _tfx.ContextProto) -> tuple[datetime, datetime] | None:
    """Return when a run began and ended, None where its nodes tell."""
    properties = context.custom_properties
    if _BEGAN not in properties or _ENDED not in properties:
        return None
    began, ended = properties[_BEGAN].double_value, properties[_ENDED].double_value
    # Nothing that cannot be read hides a run.
    if not (began and ended and math.isfinite(began + ended)):
        return None
    return time_of(int(began * 1000)), time_of(int(ended * 1000))
