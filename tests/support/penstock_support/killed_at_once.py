"""A run whose process is killed when it is recorded, before the first of its nodes begins."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Mapping

from penstock.runners.local.display import NodeView
from penstock.testing import Silent
from penstock_support import crash_components as crashing


class Kills(Silent):
    """Ends the process as the run begins to be shown."""

    def start(self, title: str, nodes: Mapping[str, NodeView]) -> None:
        """Show nothing any more."""
        os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    crashing.runner_in(sys.argv[1], display=Kills()).run(crashing.pushing)
