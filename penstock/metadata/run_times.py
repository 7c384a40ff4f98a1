"""When a run began and ended that nobody recorded while it went: properties of its context."""

from __future__ import annotations

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
        context.custom_properties[name].int_value = int(at.timestamp() * 1000)
    store.put_contexts([context])


def read_times(context: _tfx.ContextProto) -> tuple[datetime, datetime] | None:
    """Return when a run began and ended, None where its nodes tell."""
    properties = context.custom_properties
    for name in (_BEGAN, _ENDED):
        if name not in properties or not properties[name].HasField("int_value"):
            return None
    return time_of(properties[_BEGAN].int_value), time_of(properties[_ENDED].int_value)
