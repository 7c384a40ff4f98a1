"""How often a pod tries its node, and for how long each time.

That stands in the environment variable TRIES_VARIABLE and not in the task, since it changes nothing
that a node makes: Kubeflow's cache key has a container's arguments, and not its environment. Of
several nodes that share a pod it has those of each, by its name.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from penstock.errors import RunError
from penstock.project.retrying import TIMEOUT, Retries
from penstock.project.tables import as_table, read_table

TRIES_VARIABLE = "PENSTOCK_TRIES"
_NODES = "nodes"
# What passes before a node works: its image is pulled, its inputs are fetched.
_STARTING_SECONDS = 600
# What a try takes beyond its timeout: to be stopped, and to be published.
_ENDING_SECONDS = 60


@dataclass(frozen=True)
class Tries:
    """How a pod tries its node; 0 seconds are as many as it likes."""

    retries: Retries = field(default_factory=Retries)
    timeout_seconds: int = 0

    def to_text(self) -> str:
        """Return it as the value of a variable, "" for what is usual."""
        table = as_table(self)
        return json.dumps(table, sort_keys=True, separators=(",", ":")) if table else ""

    @classmethod
    def from_text(cls, text: str, node: str = "") -> Tries:
        """Read what `to_text` wrote, or what `of_nodes` did for a node.

        Raises:
          RunError: it is something else.
          ConfigError: a key is unknown, or has a value that is none of its.
        """
        try:
            table: Any = json.loads(text or "{}")
        except (ValueError, RecursionError):
            raise RunError(f"{TRIES_VARIABLE} is no JSON: {text[:200]!r}") from None
        if isinstance(table, dict) and isinstance(of_nodes := table.get(_NODES), dict):
            table = of_nodes.get(node, {})
        return read_table(cls, table, key=TRIES_VARIABLE)

    @property
    def longest_seconds(self) -> int:
        """After how many seconds the pod has certainly ended, 0 for never."""
        if not self.timeout_seconds:
            return 0
        count = self.retries.count
        pauses = (self.retries.pause(tried, TIMEOUT) or 0.0 for tried in range(min(count, 1000)))
        tries = (self.timeout_seconds + _ENDING_SECONDS) * (count + 1)
        return int(_STARTING_SECONDS + tries + sum(pauses))


def of_nodes(tries: Mapping[str, Tries]) -> str:
    """Return the tries of nodes that share a pod as a variable's value, "" for what is usual."""
    tables = {node: table for node, own in tries.items() if (table := as_table(own))}
    if not tables:
        return ""
    return json.dumps({_NODES: tables}, sort_keys=True, separators=(",", ":"))
