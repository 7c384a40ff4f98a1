"""Runs cells in an IPython of its own: JSON of the cells comes in, JSON of what they show goes out.

`python ipython_cells.py < cells.json`; each cell is told as `{"shown", "html", "printed"}`.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any


def main() -> None:
    """Run the cells one after the other; a cell that fails does not end that."""
    from IPython.core.interactiveshell import InteractiveShell
    from IPython.utils.capture import capture_output

    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    cells = json.load(sys.stdin)
    shell = InteractiveShell.instance(colors="NoColor")
    told: list[dict[str, Any]] = []
    for cell in cells:
        with capture_output() as captured:
            done = shell.run_cell(cell, store_history=True)
        html = getattr(done.result, "_repr_html_", None)
        told.append(
            {
                "shown": repr(done.result),
                "html": html() if html else "",
                "printed": captured.stdout + captured.stderr,
            }
        )
    json.dump(told, answers)
    answers.flush()


if __name__ == "__main__":
    main()
