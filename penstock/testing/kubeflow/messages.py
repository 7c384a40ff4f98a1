"""Which fields the bodies of requests have. Others are refused, as the real server does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from penstock.testing.kubeflow.refusals import invalid

_VERSION = {"pipeline_id": str, "pipeline_version_id": str}
_CONFIG = {"parameters": dict, "pipeline_root": str}
_TIMES = {"start_time": str, "end_time": str}

PIPELINE: Mapping[str, Any] = {
    "display_name": str,
    "name": str,
    "description": str,
    "namespace": str,
}
EXPERIMENT: Mapping[str, Any] = {"display_name": str, "description": str, "namespace": str}
RUN: Mapping[str, Any] = {
    "experiment_id": str,
    "display_name": str,
    "description": str,
    "pipeline_spec": dict,
    "pipeline_version_reference": _VERSION,
    "runtime_config": _CONFIG,
    "service_account": str,
}
RECURRING_RUN: Mapping[str, Any] = {
    **RUN,
    "max_concurrency": (int, str),
    "mode": str,
    "no_catchup": bool,
    "trigger": {
        "cron_schedule": {**_TIMES, "cron": str},
        "periodic_schedule": {**_TIMES, "interval_second": (int, str)},
    },
}


def check(body: Any, fields: Mapping[str, Any], where: str = "") -> dict[str, Any]:
    """Return a body without fields that are null.

    Raises:
      Refusal: it is no object, or has a field that is unknown or of another type.
    """
    if not isinstance(body, dict):
        raise invalid(f"expected an object{where}, got {type(body).__name__}")
    checked = {}
    for name, value in body.items():
        if name not in fields:
            raise invalid(f'(line 1:2): unknown field "{name}"{where}')
        if value is None:
            continue
        kind = fields[name]
        if isinstance(kind, Mapping):
            value = check(value, kind, f" in {name}")
        elif not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise invalid(f"(line 1:2): invalid value for field {name}: {value!r}")
        checked[name] = value
    return checked
