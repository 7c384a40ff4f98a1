"""Where traces and metrics go: an address, and OpenTelemetry's own environment variables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from penstock.errors import ConfigError

_ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"


@dataclass(frozen=True)
class Collector:
    """Who takes traces and metrics by OTLP; without an `address` the environment says where.

    `traces` and `metrics` say which of them it is sent.
    """

    address: str = ""
    traces: bool = True
    metrics: bool = True


def collector_of(address: str, environment: Mapping[str, str]) -> Collector | None:
    """Return who takes traces and metrics; None where nobody does.

    Somebody does where there is an address, or a variable of OpenTelemetry with one. As its
    specification has it, OTEL_SDK_DISABLED turns all off, OTEL_TRACES_EXPORTER and
    OTEL_METRICS_EXPORTER one of them if they name others than "otlp".

    Raises:
      ConfigError: the address is none of HTTP.
    """
    if environment.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return None
    if address:
        _check(address)
    traces, metrics = (_is_sent(signal, address, environment) for signal in ("TRACES", "METRICS"))
    return Collector(address, traces, metrics) if traces or metrics else None


def _is_sent(signal: str, address: str, environment: Mapping[str, str]) -> bool:
    exporters = environment.get(f"OTEL_{signal}_EXPORTER") or "otlp"
    own = f"OTEL_EXPORTER_OTLP_{signal}_ENDPOINT"
    is_known = bool(address or environment.get(_ENDPOINT) or environment.get(own))
    return is_known and "otlp" in [name.strip() for name in exporters.split(",")]


def _check(address: str) -> None:
    try:
        parts = urlsplit(address)
        is_http = parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        is_http = False
    if not is_http:
        # An address may hold a secret, so only its beginning is shown.
        raise ConfigError(
            f"expected the address of an OpenTelemetry collector, got {address[:8]!r}...",
            hint="Write http://HOST:4318 or https://HOST: OTLP over HTTP.",
        )
