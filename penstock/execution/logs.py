"""What nodes have printed: a file a node, in the folder of its run."""

from __future__ import annotations

import contextlib
import os
from datetime import datetime

# Stands in a node's log before a traceback; what follows is not shown with the end of the log.
WHOLE_TRACEBACK = "The whole traceback:"
# Stands between what one try at a node has printed and what the next one does.
NEXT_TRY = "--- the next try at this node, of "


def begin_try(path: str) -> None:
    """Mark in a node's log that what follows is of another try than what is there already."""
    try:
        if os.path.getsize(path):
            with open(path, "a", encoding="utf-8") as log:
                log.write(f"\n{NEXT_TRY}{datetime.now():%Y-%m-%d %H:%M:%S}\n")
    except OSError:  # there is none yet, or it cannot be written, which its worker will tell
        return


def add_line(path: str, text: str) -> None:
    """Write a line into a node's log, before its work begins."""
    with contextlib.suppress(OSError), open(path, "a", encoding="utf-8") as log:
        log.write(f"{text}\n")


def log_tail(path: str, lines: int = 20) -> str:
    """Return the last lines that a node's last try has printed; of a traceback nothing."""
    try:
        with open(path, encoding="utf-8", errors="replace") as log:
            printed = log.readlines()
    except OSError:
        return ""
    tries = [index for index, line in enumerate(printed) if line.startswith(NEXT_TRY)]
    printed = printed[tries[-1] + 1 :] if tries else printed
    marks = [index for index, line in enumerate(printed) if line.rstrip() == WHOLE_TRACEBACK]
    return "".join((printed[: marks[-1]] if marks else printed)[-lines:])


def last_lines(path: str, lines: int = 3) -> str:
    """Return the last lines of a node's log in one; empty ones are left out."""
    texts = [line.strip() for line in log_tail(path).splitlines() if line.strip()]
    return " / ".join(texts[-lines:])
