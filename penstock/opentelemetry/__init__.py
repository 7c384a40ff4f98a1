"""Traces and metrics of runs and of predictions, for an OpenTelemetry collector of the user's."""

from penstock.opentelemetry.destination import Collector, collector_of
from penstock.opentelemetry.runs import RunTelemetry

__all__ = ["Collector", "RunTelemetry", "collector_of"]
