"""What nodes have printed: a file a node, in the folder of its run."""

from __future__ import annotations

# Stands in a node's log before a traceback; what follows is not shown with the end of the log.
WHOLE_TRACEBACK = "The whole traceback:"


def log_tail(path: str, lines: int = 20) -> str:
    """Return the last lines that a node has printed; of a traceback after them nothing."""
    try:
        with open(path, encoding="utf-8", errors="replace") as log:
            printed = log.readlines()
    except OSError:
        return ""
    marks = [index for index, line in enumerate(printed) if line.rstrip() == WHOLE_TRACEBACK]
    return "".join((printed[: marks[-1]] if marks else printed)[-lines:])


def last_lines(path: str, lines: int = 3) -> str:
    """Return the last lines of a node's log in one; empty ones are left out."""
    texts = [line.strip() for line in log_tail(path).splitlines() if line.strip()]
    return " / ".join(texts[-lines:])
