"""The OpenLineage events of a run, and their way to a file or an HTTP endpoint."""

from penstock.openlineage.destination import Destination, parse_destination
from penstock.openlineage.observer import RunEvents

__all__ = ["Destination", "RunEvents", "parse_destination"]
